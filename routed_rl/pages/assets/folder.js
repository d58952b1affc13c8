// The page of a folder of runs: a chart for each world and oversight, and a table to sort.

const COLUMNS = [
  ["run", "run"], ["world", "world"], ["method", "method"], ["oversight", "oversight"], ["seed", "seed"],
  ["return", "return"], ["unwatched", "unwatched"], ["bad outcomes", "bad per episode"], ["labels", "labels"], ["steps", "steps"],
];

/** A table whose columns are sorted by a click on their heads. */
function runTable() {
  const shown = COLUMNS.filter(([key]) => DATA.runs.some((run) => run[key] !== undefined));
  const body = el("tbody");
  const heads = shown.map(([key, title]) => {
    const button = el("button", { type: "button" }, title);
    const head = el("th", { scope: "col", "aria-sort": "none", "data-key": key, class: typeof DATA.runs[0][key] === "string" && "word" }, button);
    button.addEventListener("click", () => sort(key, head));
    return head;
  });
  let rows = [...DATA.runs];
  const write = () => body.replaceChildren(...rows.map((run) => el("tr", {}, ...shown.map(([key]) => cell(run, key)))));
  const sort = (key, head) => {
    // Words from A on first, numbers from the largest.
    const words = typeof DATA.runs[0][key] === "string";
    const before = head.getAttribute("aria-sort");
    const up = before === "none" ? words : before === "descending";
    heads.forEach((one) => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : `${a ?? ""}`.localeCompare(`${b ?? ""}`));
    rows = [...DATA.runs].sort((a, b) => (up ? 1 : -1) * order(a[key], b[key]));
    write();
  };
  sort("return", heads.find((head) => head.dataset.key === "return"));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body));
}

/** One number or word of a run. */
function cell(run, key) {
  const value = run[key];
  if (key === "run" && run.page) return el("td", {}, el("a", { href: run.page.split("/").map(encodeURIComponent).join("/").replace(/^/, "./") }, value));
  const digits = { return: 3, unwatched: 3, "bad outcomes": 3, steps: 1 }[key];
  if (typeof value !== "number") return el("td", { class: "word" }, value ?? "");
  return el("td", {}, digits ? value.toFixed(digits).replace("-", "\u2212") : key === "labels" ? whole(value) : `${value}`);
}

const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);

function showFolder() {
  const parts = [el("header", {}, el("h1", {}, DATA.title))];
  for (const { world, oversight, references, methods } of DATA.cells) {
    const label = `returns of ${methods.length} methods; the table below has the numbers`;
    parts.push(section(`${world}, oversight ${oversight}`, dotPlot(methods, references, label),
      el("p", { class: "soft" }, "A point a seed; where there are several the mean and its 95% interval. Returns of the deployed policies.")));
  }
  parts.push(section("Runs", runTable()));
  const missing = Object.entries(DATA.left_out);
  if (missing.length) parts.push(section("Left out", el("ul", {}, ...missing.map(([name, why]) => el("li", {}, `${name}: ${why}`)))));
  const page = document.getElementById("page");
  page.replaceChildren(...parts);
  page.dataset.ready = "yes";
}

showFolder();
