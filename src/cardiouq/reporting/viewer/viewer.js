"use strict";
// The place that is looked at stands in the address behind "#": controls and keys change the
// address, and whatever changes the address is shown.

const page = JSON.parse(document.getElementById("page").textContent);
const find = (id) => document.getElementById(id);
const clamp = (value, most) => Math.min(Math.max(Math.trunc(value) || 1, 1), most);
// three digits of 1000 and more would be 1.23e+3
const digits = (value) => (Math.abs(value) >= 999.5 ? value.toFixed(0) : value.toPrecision(3));
const printed = (value) => (value == null ? "\u2013" : digits(value));
let listed = []; // cases in the order of the list
let listedMethod = null; // whose numbers and contours stand in the list
let open = { file: null, pictures: null }; // only one case is kept in memory

/** A new element with attributes and children; text never becomes markup. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "image", "text"].includes(name) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(svg, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// the place

function place() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const entry = page.cases.find((each) => each.name === asked.get("case")) ?? listed[0] ?? page.cases[0];
  const method = Object.hasOwn(page.methods, asked.get("method")) ? asked.get("method") : Object.keys(page.methods)[0];
  return { entry, method, frame: Number(asked.get("frame") ?? 1), slice: Number(asked.get("slice") ?? entry.middle + 1) };
}

function go(change) {
  const { entry, method } = place();
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  location.replace("#" + new URLSearchParams({ ...asked, case: entry.name, method, ...change }));
}

function linkTo(entry) {
  return "#" + new URLSearchParams({ case: entry.name, method: place().method });
}

function goToNeighbour(by) {
  const entry = listed[listed.indexOf(place().entry) + by];
  if (entry) location.replace(linkTo(entry));
}

// the list

function sortCases(method) {
  const which = Number(find("sort").value);
  const sign = page.criteria[which].low_is_worse ? 1 : -1;
  const words = find("filter").value.toLowerCase().split(/\s+/);
  const value = (entry) => sign * (entry.readings[method].numbers[which] ?? Infinity * sign);
  return page.cases
    .filter((entry) => words.every((word) => [entry.name, ...entry.about].join(" ").toLowerCase().includes(word)))
    .sort((a, b) => value(a) - value(b) || (a.name < b.name ? -1 : 1));
}

function showList() {
  const { method } = place();
  listed = sortCases(method);
  listedMethod = method;
  find("list").replaceChildren(...listed.map((entry) => make("li", {}, card(entry, method))));
}

function card(entry, method) {
  const { outlines, numbers } = entry.readings[method];
  const about = make("p", {}, make("b", {}, entry.about.slice(0, 2).join(" ")), make("br"), entry.about.slice(2).join(", "));
  for (const metric of new Set(page.criteria.map((criterion) => criterion.metric))) {
    const rows = page.criteria.map((each, index) => ({ ...each, value: printed(numbers[index]) })).filter((each) => each.metric === metric);
    const text = rows.length > 1 ? `: ${rows.map(({ row, value }) => `${row} ${value}`).join(", ")}` : ` ${rows[0].value}`;
    about.append(make("br"), metric + text);
  }
  const picture = make("svg", { "aria-hidden": "true" });
  draw(picture, { ...entry.thumbnail, view: entry.thumbnail.views[0], outlines });
  return make("a", { href: linkTo(entry), "data-case": entry.name }, picture, about);
}

// pictures

/** Fill a picture: millimetres are its unit, and paths are in half pixels. */
function draw(svg, { size: [rows, columns], spacing: [y, x], view, image, map, reference, outlines }) {
  const stretched = { width: columns * x, height: rows * y, preserveAspectRatio: "none" };
  const paths = make("g", { transform: `scale(${x / 2} ${y / 2})` });
  for (const [kind, found] of [["predicted", outlines], ["reference", reference]]) {
    for (const [structure, d] of Object.entries(found ?? {})) {
      paths.append(make("path", { d, class: kind, stroke: page.colours[structure] }));
    }
  }
  svg.setAttribute("viewBox", view.join(" "));
  svg.replaceChildren(...[image, map].filter(Boolean).map((href) => make("image", { href, ...stretched })), paths);
  return paths;
}

function showPictures(pictures, { entry, method, frame, slice }) {
  const index = (frame - 1) * pictures.slices + slice - 1;
  const reading = pictures.readings[method];
  const contours = find("contours").checked;
  const shown = { size: pictures.size, spacing: pictures.spacing, view: pictures.views[Number(find("whole").checked)], image: pictures.images[index] };
  const outlines = contours ? { outlines: reading.outlines[index], reference: pictures.reference?.[index] } : {};
  const paths = draw(find("picture"), { ...shown, ...outlines });
  draw(find("doubt"), { ...shown, map: reading.maps[index] });
  find("outside").textContent = reachesOutside(paths, shown) ? "Contours reach beyond the picture: press a, or tick all around." : "";
  const where = `${entry.about.join(", ")}, slice ${slice} of ${pictures.slices}`;
  find("picture").setAttribute("aria-label", `${where}, contours of ${page.methods[method]}`);
  find("doubt").setAttribute("aria-label", `${where}, entropy of ${page.methods[method]}`);
  showNumbers(reading.of_scan, reading.of_slices[index]);
}

function reachesOutside(paths, { spacing: [y, x], view: [left, top, width, height] }) {
  const box = paths.getBBox();
  return box.width > 0 && ((box.x * x) / 2 < left || (box.y * y) / 2 < top ||
    ((box.x + box.width) * x) / 2 > left + width || ((box.y + box.height) * y) / 2 > top + height);
}

function showNumbers(ofScan, ofSlice) {
  const metrics = Object.keys(ofScan);
  const rows = new Set(metrics.flatMap((metric) => Object.keys(ofScan[metric])));
  const heading = (text, span) => make("th", { scope: "colgroup", colspan: span }, text);
  const cell = (metric, row) => (numbers) => make("td", {}, row in ofScan[metric] ? printed(numbers[metric]?.[row]) : "");
  document.querySelector("thead").replaceChildren(
    make("tr", {}, make("td"), ...metrics.map((metric) => heading(metric, 2))),
    make("tr", {}, make("td"), ...metrics.flatMap(() => [heading("scan", 1), heading("slice", 1)])),
  );
  document.querySelector("tbody").replaceChildren(...[...rows].map((row) =>
    make("tr", {}, make("th", { scope: "row" }, row), ...metrics.flatMap((metric) => [ofScan, ofSlice].map(cell(metric, row))))));
}

// volumes over the frames of a cine

const plot = { width: 1200, height: 170, left: 100, right: 1180, top: 34, bottom: 150 };

function showVolumes({ volumes }, frame, frames) {
  find("volumes").hidden = !volumes;
  if (!volumes) return;
  const structures = Object.entries(volumes.ml);
  const most = Math.max(1, ...structures.flatMap(([, ml]) => ml));
  const x = (index) => plot.left + ((plot.right - plot.left) * index) / (frames - 1);
  const y = (ml) => plot.bottom - ((plot.bottom - plot.top) * ml) / most;
  const upright = (index, kind) => make("path", { class: kind, d: `M${x(index)} ${plot.top}V${plot.bottom}` });
  const text = (left, top, anchor, words) => make("text", { x: left, y: top, "text-anchor": anchor }, words);
  const parts = [text(plot.left - 12, y(0), "end", "0"), text(plot.left - 12, y(most) + 14, "end", `${printed(most)} ml`)];
  for (const [phase, index] of Object.entries(volumes.phases)) {
    parts.push(upright(index, "phase"), text(x(index), plot.top - 10, "middle", phase));
  }
  parts.push(upright(frame - 1, "now"));
  for (const [structure, ml] of structures) {
    parts.push(make("path", { class: "volume", stroke: page.colours[structure], d: `M${ml.map((each, index) => `${x(index)} ${y(each)}`).join("L")}` }));
  }
  find("curve").setAttribute("viewBox", `0 0 ${plot.width} ${plot.height}`);
  find("curve").replaceChildren(...parts);
  const here = structures.map(([structure, ml]) => `${structure} ${printed(ml[frame - 1])} ml`).join(", ");
  find("volumes-here").textContent = here;
  find("curve").setAttribute("aria-label", `Volumes over ${frames} frames, in frame ${frame}: ${here}`);
}

/** The frame that is nearest to a place in the curve. */
function frameAt(event) {
  const box = find("curve").getBoundingClientRect();
  const across = ((event.clientX - box.left) / box.width) * plot.width;
  return 1 + Math.round(((across - plot.left) / (plot.right - plot.left)) * (open.pictures.frames - 1));
}

// what the address says

function show() {
  const asked = place();
  find("method").value = asked.method;
  if (asked.method !== listedMethod) showList();
  for (const link of find("list").querySelectorAll("a")) {
    const current = link.dataset.case === asked.entry.name;
    if (current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (current) link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  find("title").textContent = asked.entry.about.join(", ");
  find("predicted").textContent = page.methods[asked.method];
  if (open.file === asked.entry.file) showCase(asked);
  else load(asked.entry.file);
}

function load(file) {
  hideCase(""); // the title is another's already
  const script = make("script", { src: file });
  script.onload = () => script.remove();
  script.onerror = () => {
    if (file !== place().entry.file) return; // another one is wanted by now
    hideCase(`${file} is missing; keep this page and the files beside it together.`);
  };
  document.body.append(script);
}

/** Called by the file of a case. */
function received(file, pictures) {
  const { entry } = place();
  if (file !== entry.file) return; // likewise
  if (pictures.digest !== entry.digest) {
    hideCase(`${file} has been written anew since this page was opened; reload the page.`);
    return;
  }
  open = { file, pictures };
  show();
}

/** Hide what is shown of a case; what is wrong with the one that is asked for, if anything, is said. */
function hideCase(problem) {
  document.querySelector("main").classList.add("without-case");
  find("problem").textContent = problem;
  find("problem").hidden = !problem;
}

function showCase(asked) {
  const { pictures } = open;
  document.querySelector("main").classList.remove("without-case");
  const slice = clamp(asked.slice, pictures.slices);
  const frame = clamp(asked.frame, pictures.frames);
  for (const [id, value, most] of [["slice", slice, pictures.slices], ["frame", frame, pictures.frames]]) {
    Object.assign(find(id), { max: most, value });
    document.querySelector(`output[for=${id}]`).textContent = `${value} / ${most}`;
  }
  for (const part of document.querySelectorAll(".of-frames")) part.hidden = pictures.frames === 1;
  find("with-reference").hidden = !pictures.reference;
  find("remarks").replaceChildren(...pictures.remarks.map((remark) => make("li", {}, remark)));
  find("problem").hidden = true;
  showPictures(pictures, { ...asked, slice, frame });
  showVolumes(pictures.readings[asked.method], frame, pictures.frames);
}

// controls

function move(id, by) {
  go({ [id]: clamp(Number(find(id).value) + by, Number(find(id).max)) });
}

const toggle = (id) => find(id).click();
const keys = {
  ArrowLeft: () => goToNeighbour(-1),
  ArrowRight: () => goToNeighbour(1),
  ArrowUp: () => move("slice", -1),
  ArrowDown: () => move("slice", 1),
  ",": () => move("frame", -1),
  ".": () => move("frame", 1),
  m: () => {
    const methods = Object.keys(page.methods);
    go({ method: methods[(methods.indexOf(place().method) + 1) % methods.length] });
  },
  c: () => toggle("contours"),
  a: () => toggle("whole"),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("select, input:not([type=checkbox], [type=range])");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});

let wheel = 0; // touchpads send many small movements
document.querySelector(".pictures").addEventListener("wheel", (event) => {
  event.preventDefault();
  wheel += event.deltaY;
  if (Math.abs(wheel) < 40) return;
  move("slice", Math.sign(wheel));
  wheel = 0;
}, { passive: false });

for (const id of ["slice", "frame"]) find(id).addEventListener("input", () => move(id, 0));
find("curve").addEventListener("click", (event) => go({ frame: clamp(frameAt(event), open.pictures.frames) }));
for (const id of ["contours", "whole"]) find(id).addEventListener("change", show);
for (const id of ["sort", "filter"]) find(id).addEventListener("input", () => { showList(); show(); });
find("method").addEventListener("change", () => go({ method: find("method").value }));
find("previous").addEventListener("click", keys.ArrowLeft);
find("next").addEventListener("click", keys.ArrowRight);
window.addEventListener("hashchange", show);
showList();
show();
