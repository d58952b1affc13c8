// One board to play with: weights of the experts, where things are, and what is overseen.

/** The board and its controls. */
function play(world) {
  const start = world.startAt(randomFrom(7)());
  const now = {
    cells: world.cellsOf(start),
    overseen: world.overseen[start],
    shown: world.shownBits[start],
    weights: world.weights[DATA.acting],
  };
  const board = new Board({ ...world, label: "" });
  const words = el("p", { id: "outcomes", "aria-live": "polite" });
  const trouble = el("p", { class: "soft", role: "status" });
  const bar = el("div");
  const names = [...DATA.outcomes, "none"];

  const update = () => {
    const table = rowsOf(world, now);
    const judged = world.judge(table.map(([, state]) => state), now.weights);
    const arrows = table.map(([cell, state]) => [cell, world.probabilities(state, now.weights)]);
    board.showArrows(arrows, world.moves);
    board.showGate(gateOf(world, table, now.weights));
    board.showShares(table.map(([cell, state]) => [cell, judged.get(state).shares]), names);
    const here = world.find(now.cells, now.overseen, now.shown);
    board.showOverseen(overseenCells(world, here));
    const { shares, worth, steps } = judged.get(here);
    bar.replaceChildren(shareBar(names, shares));
    words.textContent = `From this start: ${inWords(names, shares)}. Return ${decimal(worth)}, in ${steps.toFixed(1)} steps.`;
    words.dataset.shares = JSON.stringify(shares);
    words.dataset.state = JSON.stringify([now.cells, now.overseen, now.shown]);
    place();
  };

  /** Move something, if this page has the placement. */
  const put = (number, cell) => {
    const cells = [...now.cells];
    const other = cells.indexOf(cell);
    if (other >= 0) cells[other] = cells[number]; // they change places
    cells[number] = cell;
    if (world.find(cells, now.overseen, now.shown) === undefined) {
      trouble.textContent = "There is no such placement in this world, or on this page.";
      place();
      return;
    }
    trouble.textContent = "";
    now.cells = cells;
    update();
  };

  const place = () => {
    const things = thingsOf(world, now.cells);
    const nodes = board.showThings(things);
    things.forEach(([name, , number], k) => movable(nodes[k], name, number));
    board.showAgent(now.cells[0]);
    if (!board.ball.dataset.movable) movable(board.ball, "the agent's start", 0);
    board.ball.dataset.movable = "yes";
    const list = things.map(([name, cell]) => `${name} at row ${Math.floor(cell / world.columns) + 1}, column ${(cell % world.columns) + 1}`);
    board.describe(`A board with ${list.join("; ")}. Arrows show how probable each move is.`);
  };

  /** Let something be dragged, or moved by the arrow keys. */
  const movable = (node, name, number) => {
    node.setAttribute("tabindex", 0);
    node.setAttribute("role", "button");
    node.setAttribute("aria-label", `${name}: drag it, or move it with the arrow keys`);
    node.dataset.thing = name;
    node.addEventListener("pointerdown", (event) => drag(event, node, number));
    node.addEventListener("keydown", (event) => {
      const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const row = Math.floor(now.cells[number] / world.columns) + way[0];
      const column = (now.cells[number] % world.columns) + way[1];
      if (row < 0 || row >= world.rows || column < 0 || column >= world.columns) return;
      put(number, row * world.columns + column);
      const again = [...board.node.querySelectorAll("[data-thing]")].find((one) => one.dataset.thing === name);
      again?.focus();
    });
  };

  const drag = (event, node, number) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const move = (moved) => {
      const [x, y] = pointOf(board, moved);
      node.style.transform = `translate(${x}px, ${y}px)`;
    };
    const stop = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", drop);
      removeEventListener("pointercancel", stop);
      node.style.transform = "";
      place();
    };
    const drop = (dropped) => {
      stop();
      const [x, y] = pointOf(board, dropped);
      const [row, column] = [Math.floor(y / SIDE), Math.floor(x / SIDE)];
      const inside = row >= 0 && row < world.rows && column >= 0 && column < world.columns;
      if (inside) put(number, row * world.columns + column);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", drop);
    addEventListener("pointercancel", stop);
  };

  /** Show a start of another episode. */
  const random = randomFrom(11);
  const shuffle = () => {
    const state = world.startAt(random());
    Object.assign(now, { cells: world.cellsOf(state), overseen: world.overseen[state], shown: world.shownBits[state] });
    toggles.replaceChildren(...switches(world, now, update));
    update();
  };
  const toggles = el("div", { class: "buttons" }, ...switches(world, now, update));
  const choose = (weights) => {
    now.weights = weights;
    update();
  };
  update();
  const another = el("button", { type: "button", on: { click: shuffle } }, "Another board");
  return [el("div", { class: "play" },
    el("figure", {}, board.node, bar, words, trouble),
    el("div", { class: "controls" }, ...dials(world, choose), el("h3", {}, "The board"), el("div", { class: "buttons" }, another), toggles,
      el("p", { class: "soft" }, "Drag what is on the board, the agent's start too. An arrow is as long as its action is probable. At the foot of each cell: what becomes of a start there."),
      world.gate ? el("p", { class: "soft" }, `Blue-green: the gate chooses the ${DATA.target} expert; violet: another.`) : null,
      world.whole ? null : el("p", { class: "soft" }, "This world has more boards than the page can hold: it has some of them.")))];
}

/** The states with the agent on each cell, all else as it is: [cell, state] each. */
function rowsOf(world, now) {
  const found = [];
  for (let cell = 0; cell < world.away; cell++) {
    if (world.walls.includes(cell)) continue;
    const state = world.find([cell, ...now.cells.slice(1)], now.overseen, now.shown);
    if (state !== undefined) found.push([cell, state]);
  }
  return found;
}

/** The wanted expert's share of the gate on each cell, where the gate decides. */
function gateOf(world, table, weights) {
  const wanted = world.heads.indexOf(DATA.target);
  if (weights || !world.gate || wanted < 0) return [];
  return table.map(([cell, state]) => [cell, world.mix(state, null)[wanted]]);
}

/** Where a pointer is, in the board's own measure. */
function pointOf(board, event) {
  const box = board.node.getBoundingClientRect();
  const scale = (board.columns * SIDE) / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

/** A box to tick for each thing that may be overseen, or shown, or not. */
function switches(world, now, update) {
  const bits = [
    ...DATA.outcomes.map((name, k) => ["overseen", k, `${name} is overseen`]),
    ...world.shown.map((name, k) => ["shown", k, name]),
  ];
  return bits.map(([field, k, label]) => {
    const flipped = { ...now, [field]: now[field] ^ (1 << k) };
    const possible = world.find(flipped.cells, flipped.overseen, flipped.shown) !== undefined;
    const box = el("input", { type: "checkbox", disabled: !possible && "" });
    box.checked = Boolean((now[field] >> k) & 1);
    box.addEventListener("change", () => {
      const next = now[field] ^ (1 << k);
      const there = world.find(now.cells, field === "overseen" ? next : now.overseen, field === "shown" ? next : now.shown);
      if (there === undefined) box.checked = !box.checked;
      else now[field] = next;
      update();
    });
    return possible ? el("label", {}, box, ` ${label}`) : null;
  }).filter(Boolean);
}

/** Buttons for the policies, and a slider for the weight of each expert. */
function dials(world, choose) {
  const presets = el("div", { class: "buttons", role: "group", "aria-label": "policies" });
  const experts = world.heads.slice(0, world.experts);
  const sliders = experts.map((name) => {
    const input = el("input", { type: "range", min: -1, max: 2, step: 0.05, value: 0.5, id: `weight-${name}` });
    const output = el("output", { for: `weight-${name}` });
    return { name, input, output };
  });
  const press = (pressed) => [...presets.children].forEach((one) => one.setAttribute("aria-pressed", one === pressed));
  const tell = (weights) => sliders.forEach(({ name, input, output }) => {
    if (weights) input.value = weightOf(weights, name);
    output.textContent = weights ? Number(input.value).toFixed(2) : "the gate decides";
  });
  for (const [name, weights] of Object.entries(world.weights)) {
    const button = el("button", { type: "button", "data-policy": name }, presetName(world, name));
    button.addEventListener("click", () => {
      press(button);
      tell(weights);
      choose(weights);
    });
    button.setAttribute("aria-pressed", name === DATA.acting);
    presets.append(button);
  }
  tell(world.weights[DATA.acting]);
  sliders.forEach(({ input }) => input.addEventListener("input", () => {
    const weights = Object.fromEntries(sliders.map((one) => [one.name, Number(one.input.value)]));
    press(null);
    tell(weights);
    choose(weights);
  }));
  const rows = sliders.map(({ name, input, output }) =>
    el("label", { class: "slider" }, el("span", {}, `${name} expert`), input, output));
  const found = [el("h3", {}, "Who acts"), presets];
  if (experts.length < 2) return found;
  return [...found, el("h3", {}, "Weights of the experts"), ...rows];
}

/** What a policy leaves out, if it is a mixture without some experts. */
function presetName(world, name) {
  const weights = world.weights[name];
  const experts = world.heads.slice(0, world.experts);
  if (!weights || experts.length < 2 || !Object.hasOwn(weights, name)) return name;
  const gone = experts.filter((expert) => !weightOf(weights, expert));
  return gone.length ? `${name} (ablate ${gone.join(", ")})` : name;
}
