// A board: cells, things, arrows, and an agent that moves.

const SIDE = 48;

/** A drawing of a board. What stands on it is changed by its methods. */
class Board {
  constructor({ rows, columns, walls = [], label, picture }) {
    this.columns = columns;
    this.rows = rows;
    const layers = ["ground", "seen", "tint", "foot", "thing", "arrow", "agent"];
    for (const name of layers) this[name] = svg("g", { class: name });
    const size = `0 0 ${columns * SIDE} ${rows * SIDE}`;
    this.node = svg("svg", { viewBox: size, role: "img", "aria-label": label, class: "board" });
    this.node.append(...layers.map((name) => this[name]));
    if (picture) {
      const whole = { width: columns * SIDE, height: rows * SIDE };
      this.ground.append(svg("image", { href: picture, ...whole }));
    } else {
      for (let cell = 0; cell < rows * columns; cell++) {
        this.ground.append(this.square(cell, walls.includes(cell) ? "wall" : "cell"));
      }
    }
  }

  at(cell) {
    return [(cell % this.columns) * SIDE, Math.floor(cell / this.columns) * SIDE];
  }

  square(cell, name) {
    const [x, y] = this.at(cell);
    const size = { width: SIDE - 2, height: SIDE - 2, rx: 3 };
    return svg("rect", { x: x + 1, y: y + 1, ...size, class: name });
  }

  describe(text) {
    this.node.setAttribute("aria-label", text);
  }

  /** Colour cells by the wanted expert's share of the gate: cell -> share. */
  showGate(shares) {
    this.tint.replaceChildren(...[...shares].map(([cell, share]) => {
      const square = this.square(cell, share > 0.5 ? "gate-good" : "gate-other");
      square.style.opacity = 0.6 * Math.abs(2 * share - 1);
      return square;
    }));
  }

  /** Mark cells of which the overseer would see what happens there. */
  showOverseen(cells) {
    this.seen.replaceChildren(...cells.map((cell) => this.square(cell, "overseen")));
  }

  /** Put things on cells: [name, cell] each. Returns their nodes. */
  showThings(things) {
    const nodes = things.map(([name, cell]) => {
      const [x, y] = this.at(cell);
      const middle = `translate(${x + SIDE / 2} ${y + SIDE / 2})`;
      return svg("g", { transform: middle, class: "piece" }, ...drawing(name));
    });
    this.thing.replaceChildren(...nodes);
    return nodes;
  }

  /** An arrow for each action of each cell: cell -> probability of each move. */
  showArrows(table, moves) {
    const nodes = [];
    for (const [cell, row] of table) {
      const [x, y] = this.at(cell);
      const sums = new Map(); // actions that move alike have one arrow
      row.forEach((share, a) => sums.set(`${moves[a]}`, (sums.get(`${moves[a]}`) || 0) + share));
      for (const [move, share] of sums) {
        const [down, right] = move.split(",").map(Number);
        if (share < 0.05 || (!down && !right)) continue;
        nodes.push(arrow(x + SIDE / 2, y + SIDE / 2, right, down, share, cell));
      }
    }
    this.arrow.replaceChildren(...nodes);
  }

  /** At the foot of each cell the shares of what becomes of a start there: cell -> shares. */
  showShares(table, names) {
    const nodes = [];
    for (const [cell, shares] of table) {
      // Where several can happen in one episode there is no whole to be shared out.
      if (shares.reduce((a, b) => a + b, 0) > 1.001) continue;
      let [x, y] = this.at(cell);
      x += 4;
      shares.forEach((share, k) => {
        const width = Math.max(share, 0) * (SIDE - 8);
        const place = { x, y: y + SIDE - 7, width, height: 4 };
        nodes.push(svg("rect", { ...place, class: `fill-${tone(names[k])}` }));
        x += width;
      });
    }
    this.foot.replaceChildren(...nodes);
  }

  /** Put the agent on a cell; what happened to it there colours it. */
  showAgent(cell, outcome) {
    const [x, y] = this.at(cell);
    if (!this.ball) {
      this.ball = svg("g", { class: "piece" },
        svg("circle", { r: 10, class: "ball" }), svg("circle", { cx: -3, cy: -3.5, r: 2.2, class: "shine" }));
      this.agent.append(this.ball);
    }
    this.ball.style.transform = `translate(${x + SIDE / 2}px, ${y + SIDE / 2}px)`;
    this.agent.setAttribute("class", outcome ? `agent over ${tone(outcome)}` : "agent");
  }
}

/** An arrow from the middle of a cell, as long as its action is probable. */
function arrow(x, y, right, down, share, cell) {
  const length = 0.44 * SIDE * share;
  const head = Math.min(0.16 * SIDE, length);
  const [neckX, neckY] = [x + (length - head) * right, y + (length - head) * down];
  const [tipX, tipY] = [x + length * right, y + length * down];
  const [acrossX, acrossY] = [0.5 * head * down, 0.5 * head * right];
  const tip = `${tipX},${tipY} ${neckX + acrossX},${neckY + acrossY} ${neckX - acrossX},${neckY - acrossY}`;
  return svg("g",
    { "data-cell": cell, "data-move": `${down},${right}`, "data-share": share.toFixed(4) },
    svg("line", { x1: x, y1: y, x2: neckX, y2: neckY }), svg("polygon", { points: tip }));
}

/** How a thing looks, around (0, 0). */
function drawing(name) {
  const colour = `fill-${tone(name)}`;
  if (name === DATA.target) {
    return [
      svg("polygon", { points: "0,-15 13,-2 0,15 -13,-2", class: colour }),
      svg("path", { d: "M-13,-2 L13,-2 M-6,-2 L0,-14 L6,-2 L0,14 Z", class: "cut" }),
    ];
  }
  if (DATA.outcomes.includes(name)) {
    return [
      svg("path", { class: colour, d: "M-12,13 L-12,-3 A12,12 0 0 1 12,-3 L12,13 L6,9 L0,13 L-6,9 Z" }),
      ...[-5, 5].flatMap((x) => [
        svg("circle", { cx: x, cy: -3, r: 3.4, class: "eye" }),
        svg("circle", { cx: x, cy: -2, r: 1.6, class: "pupil" }),
      ]),
    ];
  }
  const letter = name.length === 1 ? name : name[0].toUpperCase();
  return [
    svg("circle", { r: 13, class: "disc" }),
    svg("text", { y: 5, "text-anchor": "middle", class: "letter" }, letter),
    svg("title", {}, name),
  ];
}
