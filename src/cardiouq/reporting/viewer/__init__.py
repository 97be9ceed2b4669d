"""Viewer of scans with their segmentations and doubts: a page to leaf through, without a server."""

# here, as the workflow reads them whenever it starts
TABLES = ("scores", "slice_scores", "voxels", "slice_voxels")
"""Tables of an evaluation whose numbers a study's viewer shows."""
