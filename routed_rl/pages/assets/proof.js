// The proof: returns beside the rivals', learning curves, labels, settings.

/** Returns of this run's policies, and of other methods in the same folder. */
function returns() {
  const rows = Object.entries(DATA.reports).map(([name, report]) => {
    const value = report.return;
    const error = 1.96 * (report.standard_error || 0);
    return { name, points: [value], mean: value, low: value - error, high: value + error, strong: name === DATA.deployed };
  });
  const others = DATA.rivals.filter((row) => !row.own || Object.keys(row.seeds).length > 1).map((row) => ({
    ...row, name: (row.own ? `${row.method} (all seeds)` : row.method) + (row.steps === DATA.about.env_steps ? "" : `, ${whole(row.steps)} steps`), points: Object.values(row.seeds), strong: row.own,
  }));
  const chart = dotPlot([...rows, ...others], DATA.references, "returns of policies and rivals; the numbers are in the table");
  const note = others.length
    ? "Policies of this run, then runs beside it in its folder: a point a seed, the mean, and its 95% interval."
    : "Policies of this run. Runs of other methods in the same folder, world and oversight would stand here too.";
  return [chart, el("p", { class: "soft" }, note), reportTable(others)];
}

/** The standard error of a return that was played and not computed. */
const errorOf = (report, key) => (key === "return" && report.standard_error ? ` \u00b1${report.standard_error.toFixed(3)}` : "");

function reportTable(others) {
  const names = Object.keys(Object.values(DATA.reports)[0].outcomes);
  const known = (key) => Object.values(DATA.reports).some((report) => report[key] !== undefined);
  const columns = [["return", "return"], ["unwatched", "unwatched"], ["paid_return", "paid"], ["score", "score"], ["greedy", "greedy"]].filter(([key]) => known(key));
  const head = ["policy", ...columns.map(([, title]) => title), ...names.map((n) => (n === "none" ? "nothing" : n)), "steps"];
  const body = Object.entries(DATA.reports).map(([name, report]) => [
    name === DATA.deployed ? `${name} (deployed)` : name,
    ...columns.map(([key]) => (report[key] === undefined ? "" : decimal(report[key]) + errorOf(report, key))),
    ...names.map((n) => percent(report.outcomes[n])), report.mean_length.toFixed(1)]);
  const rest = others.map((row) => [row.name, `${decimal(row.mean)} (${decimal(row.low)} to ${decimal(row.high)})`]);
  const table = (rows) => el("table", {}, el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((text) => el("td", {}, text))))));
  const list = rest.length ? el("ul", {}, ...rest.map(([name, text]) => el("li", {}, `${name}: ${text}`))) : null;
  return el("details", {}, el("summary", {}, "The numbers"), el("div", { class: "wide" }, table(body)), list);
}

/** Learning curves; a slider moves through the evaluations, and arrows follow. */
function learning() {
  const { env_steps: steps, returns: series } = DATA.curve;
  if (!steps.length) return [];
  const chart = curves(steps, series, "return of each policy over environment steps");
  const slider = el("input", { type: "range", min: 0, max: steps.length - 1, value: steps.length - 1, class: "scrubber", "aria-label": "evaluation" });
  const words = el("p", { "aria-live": "polite" });
  const boards = momentBoards();
  const show = () => {
    const k = Number(slider.value);
    chart.mark(k);
    const found = Object.entries(series).filter(([, row]) => Number.isFinite(row[k])).map(([name, row]) => `${name} ${decimal(row[k])}`);
    words.textContent = `After ${whole(steps[k])} steps: ${found.join(", ")}.`;
    boards.show(steps[k]);
  };
  slider.addEventListener("input", show);
  boards.changed = show;
  show();
  const few = DATA.curve.episodes
    ? el("p", { class: "soft" }, `A point of a curve rests on ${DATA.curve.episodes} episodes, so it is noisier than the returns above.`) : null;
  return [chart.node, slider, words, few, ...boards.nodes].filter(Boolean);
}

/** Boards with the arrows of one policy at one evaluation. */
function momentBoards() {
  const { scenes = [], moments = [] } = DATA.arrows;
  const found = { nodes: [], show() {}, changed() {} };
  if (!scenes.length) return found;
  const boards = scenes.map((scene) => {
    const picture = `data:image/png;base64,${scene.png}`;
    return new Board({ ...scene, picture, label: `arrows on ${scene.title}` });
  });
  let name = DATA.deployed;
  found.show = (step) => {
    const moment = moments.find((one) => one.env_steps === step) || moments[moments.length - 1];
    const looks = moment.policies[name];
    boards.forEach((board, k) => {
      const cells = scenes[k].cells.map(([row, column]) => row * scenes[k].columns + column);
      const share = (i) => looks[k].actions[i].map((value) => value / 100);
      board.showArrows(cells.map((cell, i) => [cell, share(i)]), scenes[k].moves);
      board.showGate(looks[k].gate ? cells.map((cell, i) => [cell, looks[k].gate[i] / 100]) : []);
    });
  };
  const choices = Object.keys(moments[0].policies);
  const select = el("select", { "aria-label": "whose arrows" }, ...choices.map((one) => el("option", { value: one }, one)));
  select.value = name;
  select.addEventListener("change", () => {
    name = select.value;
    found.changed();
  });
  const figures = boards.map((board, k) => el("figure", {}, el("figcaption", {}, scenes[k].title), board.node));
  found.nodes = [el("label", {}, "Arrows of ", select), el("div", { class: "boards small" }, ...figures)];
  return found;
}

/** How much of what happened carried a label. */
function labels() {
  const happened = Object.entries(DATA.happened);
  const total = happened.reduce((sum, [, count]) => sum + count, 0);
  if (!total) return [];
  const share = DATA.labelled / total;
  const list = happened.map(([name, count]) => `${name} ${whole(count)}`).join(", ");
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("span", { class: "back-seen" }), el("span", { class: "back-none" }));
  bar.children[0].style.width = percent(Math.min(share, 1));
  bar.children[1].style.width = percent(Math.max(1 - share, 0));
  return [bar, el("p", {}, `${whole(DATA.labelled)} labels for ${whole(total)} outcomes in training (${percent(share)}): ${list}.`)];
}

/** The command, and every setting. */
function settings() {
  const rows = Object.entries(DATA.settings).map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", {}, value)));
  return [el("pre", {}, el("code", {}, DATA.commands.join("\n"))),
    el("details", {}, el("summary", {}, "All settings"), el("div", { class: "wide" }, el("table", {}, el("tbody", {}, ...rows))))];
}
