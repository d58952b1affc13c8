// The page of a quarantine's dial: for each method what is written as the weight turns.

/** One method: its curves, and a slider that says them in words. */
function armSection({ arm, seeds, scales, measures }) {
  const lead = el("p", { class: "soft" }, `The mean of ${seeds} ${seeds === 1 ? "seed" : "seeds"}.`);
  const words = el("p", { "aria-live": "polite" });
  const tell = (k) => {
    const list = Object.entries(measures).map(([name, row]) => `${name} ${decimal(row[k])}`);
    words.textContent = `Quarantine at ${short(scales[k])}: ${list.join(", ")}.`;
  };
  if (scales.length < 2) {
    tell(0);
    return el("section", {}, el("h2", {}, arm), lead, words, el("p", { class: "soft" }, "It has no quarantine to turn."));
  }
  const chart = curves(scales, measures, `what ${arm} writes at each weight of the quarantine`, "weight of the quarantine");
  const slider = el("input", { type: "range", min: 0, max: scales.length - 1, class: "scrubber", "aria-label": "weight of the quarantine" });
  slider.value = Math.max(scales.indexOf(0), 0); // deployed: without it
  const show = () => {
    chart.mark(Number(slider.value));
    tell(Number(slider.value));
  };
  slider.addEventListener("input", show);
  show();
  return el("section", {}, el("h2", {}, arm), lead, chart.node, slider, words);
}

document.getElementById("page").replaceChildren(
  el("header", {}, el("h1", {}, DATA.title),
    el("p", { class: "lead" }, "At 1 the model acts as it was trained, at 0 the quarantine is cut out, below 0 it is turned around.")),
  ...DATA.arms.map(armSection));
document.getElementById("page").dataset.ready = "yes";
