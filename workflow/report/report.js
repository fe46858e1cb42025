// On a narrow screen a row is a card and shows the headings beside its cells. What a table is to a screen reader is said, for a card is no table.
const plainText = (element) => {
  const copy = element.cloneNode(true);
  for (const line of copy.querySelectorAll("br")) line.replaceWith(line.closest(".unit") ? " " : ", ");
  return copy.textContent.trim().replace(/\s+/g, " ").replace(", (", " (");
};
for (const table of document.querySelectorAll("table.data, table.tally")) {
  table.setAttribute("role", "table");
  for (const part of [table.tHead, ...table.tBodies, table.tFoot]) part?.setAttribute("role", "rowgroup");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    for (const cell of row.cells) {
      cell.setAttribute("role", cell.tagName === "TD" ? "cell" : cell.scope === "row" ? "rowheader" : "columnheader");
    }
  }
}
for (const table of document.querySelectorAll("table.data")) {
  const labels = [...table.tHead.rows[0].cells].map(plainText);
  table.classList.add("cards");
  for (const row of table.rows) {
    [...row.cells].forEach((cell, i) => {
      if (cell.tagName === "TH") {
        if (cell.dataset.sort) cell.dataset.label = labels[i];
        return;
      }
      cell.dataset.label = labels[i];
      const value = document.createElement("div");
      value.className = "value";
      value.append(...cell.childNodes);
      cell.append(value);
    });
  }
}
// Tables that are long can be sorted by their headings. Without this script the page says the same.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (!heading.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays at the end
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
        return falling ? -order : order;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// What is folded is unfolded for printing, and folded again.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.dataset.folded = "yes";
    folded.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const folded of document.querySelectorAll("details[data-folded]")) {
    folded.open = false;
    delete folded.dataset.folded;
  }
});
// A link to something folded opens it.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
};
addEventListener("hashchange", unfold);
unfold();
