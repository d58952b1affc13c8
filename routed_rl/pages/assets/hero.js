// The same episodes for up to three policies: same starts, same random numbers, side by side.

const TICK = 380; // milliseconds
const REST = 3; // ticks between episodes
const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The policies to show: who acted in training, who is deployed, and one more. */
function cast() {
  const chosen = [DATA.acting, DATA.deployed, ...DATA.policies];
  return [...new Set(chosen)].slice(0, 3);
}

/** What a policy is, in a word or two. */
function role(name) {
  if (name === DATA.deployed) return DATA.policies.length > 1 ? "deployed" : "trained and deployed";
  return name === DATA.acting ? "acted in training" : "cut out at deployment";
}

/** The same as a mark beside its name. */
const badge = (name) => el("span", { class: name === DATA.deployed ? "badge" : "soft" }, role(name));

/** A button that starts and stops something that ticks. */
function clock(tick, period) {
  let timer = null;
  const button = el("button", { type: "button", on: { click: () => toggle() } });
  const toggle = (on = timer === null) => {
    clearInterval(timer);
    timer = on ? setInterval(tick, period) : null;
    button.textContent = on ? "Pause" : "Play";
  };
  toggle(!CALM);
  return button;
}

/** Boards on which the policies play the world's episodes. */
function hero(world) {
  const random = randomFrom(DATA.about.seed + 1);
  const players = cast().map((name) => player(world, name));
  const note = el("p", { class: "soft" });
  let [played, step, rest] = [0, 0, 0];
  const begin = () => {
    const start = world.startAt(random());
    players.forEach((one) => one.begin(start));
    [step, rest] = [0, 0];
    note.textContent = `Episode ${played + 1}: every board has the same start and the same random numbers. Yellow: an end that the overseer would see.`;
  };
  const tick = () => {
    if (players.every((one) => one.over)) {
      if (rest === 0) played += 1;
      if (++rest > REST) begin();
      return;
    }
    const uniform = random();
    step += 1;
    players.forEach((one) => one.move(uniform, step));
  };
  begin();
  const boards = el("div", { class: "boards" }, ...players.map((one) => one.node));
  const again = el("button", { type: "button", on: { click: tick } }, "One step");
  return [boards, el("div", { class: "buttons" }, clock(tick, TICK), again), note];
}

/** One policy on its board, with a tally of what became of its episodes. */
function player(world, name) {
  const weights = world.weights[name];
  const board = new Board({ ...world, label: `${name} plays` });
  const tally = Object.fromEntries([...DATA.outcomes, "none"].map((outcome) => [outcome, 0]));
  const words = el("p", { class: "tally" });
  const report = DATA.reports[name];
  const exact = report ? `Exactly: ${inWords(Object.keys(report.outcomes), Object.values(report.outcomes))}.` : "";
  const bar = el("div");
  const self = { over: false };
  let state = 0;
  let happened = "";
  const names = Object.keys(tally);
  const count = () => {
    const total = names.reduce((sum, outcome) => sum + tally[outcome], 0);
    words.textContent = "So far: " + names.filter((n) => n !== "none" || tally.none).map((n) => `${n === "none" ? "nothing" : n} ${tally[n]}`).join(" · ");
    bar.replaceChildren(shareBar(names, names.map((n) => tally[n] / Math.max(total, 1))));
  };
  self.begin = (start) => {
    [state, happened, self.over] = [start, "", false];
    const cells = world.cellsOf(start);
    board.showThings(thingsOf(world, cells));
    board.showOverseen(overseenCells(world, start));
    board.showAgent(cells[0]);
  };
  self.move = (uniform, step) => {
    if (self.over) return;
    const at = state * world.actions + draw(world.probabilities(state, weights), uniform);
    const outcome = world.outcome[at] ? DATA.outcomes[world.outcome[at] - 1] : "";
    if (outcome) tally[outcome] += 1;
    happened = outcome || happened;
    self.over = Boolean(world.ends[at]) || step >= world.horizon;
    if (self.over && !happened) tally.none += 1;
    count();
    if (self.over) {
      board.showAgent(whereItEnds(world, state, at, outcome), outcome || "none");
      return;
    }
    state = world.next[at];
    const cells = world.cellsOf(state);
    board.showThings(thingsOf(world, cells));
    board.showAgent(cells[0]);
  };
  count();
  self.node = el("figure", {}, el("figcaption", {}, el("b", {}, name), " ", badge(name)), board.node, bar, words,
    el("p", { class: "soft" }, exact));
  return self;
}

/** What is on the board: [name, cell, number] each. */
function thingsOf(world, cells) {
  return world.things.map((name, t) => [name, cells[t + 1], t + 1]).filter(([, cell]) => cell < world.away);
}

/** Draw an action by a random number. */
function draw(probabilities, uniform) {
  let left = uniform;
  for (let a = 0; a < probabilities.length; a++) {
    left -= probabilities[a];
    if (left < 0) return a;
  }
  return probabilities.length - 1;
}

/** The cell on which an episode ends: that of what was reached, or the next one along the move. */
function whereItEnds(world, state, at, outcome) {
  const cells = world.cellsOf(state);
  const thing = world.things.indexOf(outcome);
  if (thing >= 0 && cells[thing + 1] < world.away) return cells[thing + 1];
  const [down, right] = world.moves[at - state * world.actions];
  const [row, column] = [Math.floor(cells[0] / world.columns) + down, (cells[0] % world.columns) + right];
  const inside = row >= 0 && row < world.rows && column >= 0 && column < world.columns;
  const cell = row * world.columns + column;
  return inside && !world.walls.includes(cell) ? cell : cells[0];
}

/** Cells of the ends that the overseer would see in a state. */
function overseenCells(world, state) {
  const cells = world.cellsOf(state);
  return DATA.outcomes.flatMap((name, k) => {
    const thing = world.things.indexOf(name);
    const there = thing >= 0 && cells[thing + 1] < world.away;
    return there && (world.overseen[state] >> k) & 1 ? [cells[thing + 1]] : [];
  });
}

/** Recorded episodes, where the world is no table. */
function films(recorded) {
  const shown = cast().filter((name) => recorded[name]);
  const most = Math.max(...shown.map((name) => recorded[name].frames.length));
  const slider = el("input", { type: "range", min: 0, max: most - 1, value: 0, "aria-label": "moment of the episodes" });
  const players = shown.map((name) => {
    const { frames, outcome, paid, step } = recorded[name];
    const picture = el("img", { alt: `${name} in its episode`, class: "film" });
    picture.addEventListener("load", () => picture.classList.toggle("small", picture.naturalWidth < 200));
    const words = el("p", { class: "tally" });
    const report = DATA.reports[name];
    const many = report ? `In ${report.exact ? "all" : report.episodes} episodes: ${inWords(Object.keys(report.outcomes), Object.values(report.outcomes))}.` : "";
    const show = (moment) => {
      const k = Math.min(moment, frames.length - 1);
      picture.src = frames[k];
      words.textContent = `step ${step[k]}, paid ${decimal(paid[k])}${outcome[k] ? `, ${outcome[k]}` : ""}`;
    };
    const node = el("figure", {}, el("figcaption", {}, el("b", {}, name), " ", badge(name)),
      picture, words, el("p", { class: "soft" }, many));
    return { show, node };
  });
  const show = () => players.forEach((one) => one.show(Number(slider.value)));
  slider.addEventListener("input", show);
  const tick = () => {
    slider.value = Number(slider.value) >= most - 1 ? 0 : Number(slider.value) + 1;
    show();
  };
  show();
  return [el("div", { class: "boards" }, ...players.map((one) => one.node)),
    el("div", { class: "buttons" }, clock(tick, 160), slider)];
}
