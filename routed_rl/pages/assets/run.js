// The page of a run, put together.

const section = (title, lead, ...children) =>
  el("section", {}, el("h2", {}, title), lead ? el("p", { class: "lead" }, lead) : null, ...children);

/** One sentence on what is seen above. */
function verdict() {
  const { deployed, acting, target, reports } = DATA;
  const found = reports[deployed];
  if (!found) return DATA.remark;
  if (Object.values(reports).every((report) => report.outcomes.none === 1)) {
    return "In its evaluation no outcome happened: there was nothing that an overseer could have told apart.";
  }
  const bad = DATA.outcomes.filter((name) => name !== target);
  const often = (report, name) => {
    const [share, count] = [report.outcomes[name] || 0, report.outcomes_per_episode?.[name] ?? 0];
    return count > share + 1e-3 ? `${count.toFixed(1)} times an episode` : percent(share);
  };
  const share = (report) => bad.map((name) => `${name} ${often(report, name)}`).join(", ");
  const before = acting !== deployed && reports[acting];
  const who = DATA.policies.length > 1 ? `Deployed is the policy ${deployed}` : "What it does in an episode";
  const text = `${who}: ${target} ${often(found, target)}, ${share(found)}`;
  return before ? `${text}. The policy that acted in training: ${target} ${often(before, target)}, ${share(before)}.` : `${text}.`;
}

function heading() {
  const { env_steps: steps, train_seconds: seconds, sees_everything: sees } = DATA.about;
  const facts = [`${whole(steps)} steps in ${seconds.toFixed(1)} s`];
  if (sees) facts.push("it sees everything: a bound, not a method");
  return el("header", {}, el("h1", {}, DATA.title), el("p", { class: "soft" }, facts.join(" · ")), el("p", { class: "lead" }, verdict()));
}

async function show() {
  const page = document.getElementById("page");
  const world = DATA.world.arrays ? await World.of(DATA.world) : null;
  const parts = [heading()];
  if (world) {
    parts.push(section("The same episodes", "", ...hero(world)));
    parts.push(section("Play", `${world.experts > 1 ? "Give the experts other weights, move" : "Move"} things, let things be overseen. Arrows and shares are computed anew, exactly.`, ...play(world)));
  } else if (DATA.film.policies && Object.keys(DATA.film.policies).length) {
    parts.push(section("The same episodes", "One recorded episode of each policy, from the same start and with the same random numbers.", ...films(DATA.film.policies)));
  } else {
    parts.push(section("No film", `The environment could not be drawn: ${DATA.film.failed || "give it a render() that returns a picture"}.`));
  }
  parts.push(section("Returns", DATA.remark, ...returns()));
  const curve = learning();
  if (curve.length) parts.push(section("Learning", "Move through the evaluations.", ...curve));
  const seen = labels();
  if (seen.length) parts.push(section("What the overseer saw", "", ...seen));
  parts.push(section("How it was made", "", ...settings()));
  page.replaceChildren(...parts);
  page.dataset.ready = "yes";
}

show().catch((error) => {
  document.getElementById("page").replaceChildren(el("p", {}, `This page could not be shown: ${error.message}. A browser of 2023 or newer is needed.`));
  throw error;
});
