// Charts: returns as points in rows, curves over time, and bars of shares.

// As wide as the page lets them be, so that their words stay legible on a phone.
const WIDE = Math.min(940, document.documentElement.clientWidth - 60);
const LEFT = WIDE < 500 ? 118 : 160; // for names
const RIGHT = 24;

/** Numbers with few digits that cover a range. */
function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((one) => one >= rough);
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9; x += step) found.push(x);
  return found.map((x) => (Math.abs(x) < 1e-12 ? 0 : x));
}

const short = (value) => `${Number(value.toPrecision(3))}`.replace("-", "\u2212");

/**
 * Rows of points on one axis.
 *
 * rows: {name, points, mean, low, high, strong}; lines: name -> value, drawn across.
 */
function dotPlot(rows, lines, label) {
  const width = WIDE;
  const top = 16 + 15 * Object.keys(lines).length;
  const height = top + 26 * rows.length + 40;
  const values = rows.flatMap((row) => [...row.points, row.low, row.high])
    .concat(Object.values(lines)).filter(Number.isFinite);
  const [low, high] = padded(Math.min(...values), Math.max(...values));
  const x = (value) => LEFT + ((value - low) / (high - low)) * (width - LEFT - RIGHT);
  const bottom = height - 34;
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" });
  for (const value of ticks(low, high)) {
    node.append(
      svg("line", { x1: x(value), x2: x(value), y1: top, y2: bottom, class: "grid" }),
      svg("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, short(value)));
  }
  Object.entries(lines).forEach(([name, value], k) => {
    const y = 14 + 15 * k;
    const end = x(value) > width / 2;
    node.append(
      svg("line", { x1: x(value), x2: x(value), y1: y - 8, y2: bottom, class: "reference" }),
      svg("text", { x: x(value) + (end ? -5 : 5), y, "text-anchor": end ? "end" : "start", class: "soft" },
        `${name} ${decimal(value)}`));
  });
  rows.forEach((row, k) => {
    const y = top + 26 * k + 15;
    const group = svg("g", { class: row.strong ? "strong" : "" });
    group.append(fitted(row.name, LEFT - 12, y + 4));
    if (row.high > row.low) {
      group.append(svg("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, class: "interval" }));
    }
    for (const value of row.points) group.append(svg("circle", { cx: x(value), cy: y, r: 4, class: "point" }));
    if (row.points.length > 1) {
      group.append(svg("line", { x1: x(row.mean), x2: x(row.mean), y1: y - 8, y2: y + 8, class: "mean" }));
    }
    node.append(group);
  });
  node.append(svg("text", { x: (LEFT + width - RIGHT) / 2, y: height - 4, "text-anchor": "middle", class: "soft" }, "return"));
  return node;
}

/** A name that ends at x, cut where it is too long; whole in its title. */
function fitted(name, x, y) {
  const most = Math.floor((LEFT - 12) / 7.6);
  const cut = name.length > most ? `${name.slice(0, most - 1)}\u2026` : name;
  return svg("text", { x, y, "text-anchor": "end" }, cut, svg("title", {}, name));
}

const padded = (low, high) => {
  const room = 0.06 * (high - low) || 0.1;
  return [low - room, high + room];
};

/** Curves over steps or weights, with a line that can be moved: {node, mark(index)}. */
function curves(steps, series, label, title = "environment steps") {
  const [width, height, left, bottom] = [WIDE, 260, 48, 222];
  const values = Object.values(series).flat().filter(Number.isFinite);
  const [low, high] = padded(Math.min(...values), Math.max(...values));
  const first = Math.min(steps[0], 0);
  const last = steps[steps.length - 1] || 1;
  const x = (step) => left + ((step - first) / (last - first)) * (width - left - 80);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - 12);
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" });
  for (const value of ticks(low, high)) {
    node.append(
      svg("line", { x1: left, x2: x(last), y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const step of ticks(first, last, width < 500 ? 2 : 4)) {
    node.append(svg("text", { x: x(step), y: bottom + 18, "text-anchor": "middle" }, last > 10 ? whole(step) : short(step)));
  }
  node.append(svg("text", { x: x((first + last) / 2), y: height - 2, "text-anchor": "middle", class: "soft" }, title));
  const ends = [];
  Object.entries(series).forEach(([name, row], k) => {
    const known = row.map((value, i) => [steps[i], value]).filter(([, value]) => Number.isFinite(value));
    if (!known.length) return;
    const points = known.map(([step, value]) => `${x(step)},${y(value)}`).join(" ");
    const look = `curve line-${tone(name)} dash${tone(name) === "none" ? k % 4 : 0}`;
    node.append(svg("polyline", { points, class: look }));
    ends.push({ name, y: y(known[known.length - 1][1]) });
  });
  apart(ends, 14).forEach(({ name, y: place }) =>
    node.append(svg("text", { x: x(last) + 8, y: place + 4, class: `text-${tone(name)}` },
      name.length > 11 ? `${name.slice(0, 10)}\u2026` : name, svg("title", {}, name))));
  const line = svg("line", { y1: 12, y2: bottom, class: "scrub" });
  node.append(line);
  const mark = (index) => {
    line.setAttribute("x1", x(steps[index]));
    line.setAttribute("x2", x(steps[index]));
  };
  return { node, mark };
}

/** Move labels up or down until none lies over another. */
function apart(labels, least) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  for (let k = 1; k < sorted.length; k++) {
    sorted[k].y = Math.max(sorted[k].y, sorted[k - 1].y + least);
  }
  return sorted;
}

/** A bar of shares; one for each where several can happen in one episode. Words stand beside it. */
function shareBar(names, shares) {
  const total = shares.reduce((a, b) => a + b, 0);
  if (total > 1.001) {
    const left = (share) => ["none", 1 - share];
    const bars = names.map((name, k) => twoParts([name, shares[k]], left(shares[k])));
    return el("div", { "aria-hidden": "true" }, ...bars);
  }
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  names.forEach((name, k) => {
    const part = el("span", { class: `back-${tone(name)}` });
    part.style.width = percent(shares[k]);
    bar.append(part);
  });
  return bar;
}

function twoParts(...parts) {
  const bar = el("div", { class: "bar thin" });
  for (const [name, share] of parts) {
    const part = el("span", { class: name === "none" ? "" : `back-${tone(name)}` });
    part.style.width = percent(share);
    bar.append(part);
  }
  return bar;
}

/** The shares in words; "nothing" is left out where it hardly ever happens. */
const inWords = (names, shares) =>
  names.map((name, k) => [name, shares[k]]).filter(([name, share]) => name !== "none" || share >= 0.0005)
    .map(([name, share]) => `${name === "none" ? "nothing" : name} ${percent(share)}`).join(", ");
