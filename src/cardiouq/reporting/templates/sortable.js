// Tables of the class "sortable": a click on a heading sorts their rows, a text field filters them.
// Rows stay within their tbody, and a row of the class "follows" stays below the one before it.
(() => {
  const LEAST = 6; // rows from which on there is a text field
  const NOTHING = /^[\u2013-]?( \(\d+ of \d+\))?$/; // with how many failed, where none or all did

  // the number that a text begins with: .911 ± .052, 2.56 [2.31, 2.90], < 0.001, 1.2e-3, 1:02:05
  function numberOf(text) {
    const time = text.match(/^(\d+):(\d\d):(\d\d)$/);
    if (time) return 3600 * time[1] + 60 * time[2] + 1 * time[3];
    const plain = text.replace(/(\d),(?=\d{3})/g, "$1").replace("\u2212", "-");
    const found = plain.match(/^[\u2248<>\s]*([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)(?![\w-])/i);
    return found ? Number(found[1]) : NaN;
  }

  function groupsOf(body) {
    const groups = [];
    for (const row of body.rows) {
      if (groups.length && row.classList.contains("follows")) groups.at(-1).push(row);
      else groups.push([row]);
    }
    return groups;
  }

  const textOf = (group, column) => (group[0].cells[column]?.textContent ?? "").trim();

  function sort(table, column, descending) {
    const bodies = [...table.tBodies].map((body) => [body, groupsOf(body)]);
    const texts = bodies.flatMap(([, groups]) => groups.map((group) => textOf(group, column)));
    const numeric = texts.every((text) => NOTHING.test(text) || !isNaN(numberOf(text)));
    const compare = (first, second) => {
      const [a, b] = [textOf(first, column), textOf(second, column)];
      if (NOTHING.test(a) || NOTHING.test(b)) return NOTHING.test(a) - NOTHING.test(b);
      const order = numeric ? numberOf(a) - numberOf(b) : a.localeCompare(b, "en");
      return descending ? -order : order;
    };
    for (const [body, groups] of bodies) body.append(...groups.sort(compare).flat());
  }

  function addSorting(table) {
    const headings = [...[...table.tHead.rows].at(-1).cells];
    headings.forEach((heading, column) => {
      const click = () => {
        const descending = heading.ariaSort === "ascending";
        for (const other of headings) other.ariaSort = "none";
        heading.ariaSort = descending ? "descending" : "ascending";
        sort(table, column, descending);
      };
      heading.ariaSort = "none";
      heading.tabIndex = 0;
      heading.addEventListener("click", click);
      heading.addEventListener("keydown", (event) => event.key === "Enter" && click());
    });
  }

  // every word must be in a row, or in those that stay with it
  function addFilter(table) {
    const groups = [...table.tBodies].flatMap(groupsOf);
    if (groups.length < LEAST) return;
    const field = document.createElement("input");
    Object.assign(field, { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
    const count = document.createElement("span");
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      const shown = groups.filter((group) => {
        const text = group.map((row) => row.textContent.toLowerCase()).join(" ");
        const found = words.every((word) => text.includes(word));
        for (const row of group) row.hidden = !found;
        return found;
      });
      count.textContent = field.value && `${shown.length} of ${groups.length}`;
    });
    const line = Object.assign(document.createElement("p"), { className: "filter" });
    line.append(field, count);
    table.before(line);
  }

  for (const table of document.querySelectorAll("table.sortable")) addSorting(table), addFilter(table);
})();
