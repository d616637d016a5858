"use strict";
/* Asks /status.json each second and the histories every two; says so when nobody answers. */

const at = (id) => document.getElementById(id);
const root = document.documentElement;
const choice = { span: "run", ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
let status = null, drawn = 0;

function put(id, text, value) {
  const node = at(id);
  if (node.textContent !== text) { node.textContent = text; node.title = text; }
  if (value !== undefined) node.dataset.value = value;
}

const line = (name, column, colour, more = {}) => ({ name, column, colour, ...more });
const panel = (name) => document.querySelector(`[data-chart="${name}"]`);
const truths = [["body", "--ink"], ["fall", "--c3", true]];
const seen = [["new", "--ink"], ["returned", "--ink", true]];
const here = { marks: "here", kinds: [["change", "--quiet", true]] };
const views = {
  reward: charts.make(panel("reward"), { title: "Reward a step", series: [line("mean", "reward", "--c0", { fill: true })], value: format.score, marks: "changes", kinds: truths }),
  surprise: charts.make(panel("surprise"), { title: "Surprise", series: [line("mean", "surprise", "--c3")], value: format.score, marks: "noticed", kinds: seen }),
  bodies: charts.make(panel("bodies"), { title: "Bodies", series: [line("believed", "believed", "--c0", { width: 2 }), line("true", "truth", "--quiet", { width: 1.3 }), line("remembered", "bodies", "--c2", { width: 1 })], value: format.count }),
  clock: charts.make(panel("clock"), { title: "Planner and learner", series: [line("planner", "plan", "--c4", { fill: true }), line("learner", "learn", "--c1")], value: format.time, floor: 0, clip: true, axis: (s) => (s ? format.time(s) : "0") }),
};
const around = {
  reward: charts.make(panel("around_reward"), { title: "Reward around each change", series: [], value: format.score, ...here }),
  surprise: charts.make(panel("around_surprise"), { title: "Surprise around each change", series: [], value: format.score, ...here }),
};

function state() {
  const { phase, ready, alive, reasons, about } = status;
  const tone = { running: alive ? "good" : "bad", starting: "wait", draining: "wait", ended: "done" }[phase];
  put("phase", alive ? phase : "stuck"); at("phase").dataset.tone = tone;
  put("ready", ready ? "ready" : phase === "ended" ? "all done" : reasons[0] || "not ready");
  at("ready").dataset.tone = ready ? "good" : phase === "ended" ? "done" : phase === "running" ? "bad" : "wait";
  at("ready").title = reasons.join("; ");
  const many = about.robots > 1 ? `${about.robots} × ` : "";
  put("name", many + about.env); put("source", about.life || "nobody says when its body changes");
  put("controller", about.controller);
  put("uptime", format.time(status.uptime));
  document.title = `${about.env}: ${phase}`;
}

function tiles(f) {
  const { about } = status, count = (n, one, more) => `${format.count(n)} ${n === 1 ? one : more}`;
  put("step", format.count(f.step), f.step);
  put("pace", `${format.time(f.seconds)}, ${format.short(f.rate * about.dt)} × its clock`);
  put("reward", format.score(f.reward), f.reward); put("total", `${format.score(f.total)} in all`);
  put("surprise", format.score(f.surprise), f.surprise);
  put("believed", f.believed < 0 ? "–" : `body ${f.believed}`, f.believed); put("bodies", `${count(f.bodies, "body", "bodies")} remembered`);
  put("truth", f.truth || "–"); put("altered", f.truth ? `changed ${count(f.altered, "time", "times")}` : "nobody tells");
  const all = Object.values(f.noticed).reduce((a, b) => a + b, 0);
  put("noticed", format.count(all), all);
  put("kinds", Object.entries(f.noticed).map(([kind, n]) => `${format.count(n)} ${kind}`).join(" · "));
  put("plan", format.time(f.plan[0]), f.plan[0]);
  put("learn", `99 % ${format.time(f.plan[1])} of ${format.time(about.dt)}`);
  put("falls", format.count(f.falls), f.falls);
  put("checkpoint", f.checkpoint ? `${format.time(f.checkpoint.age)} ago, ${(f.checkpoint.bytes / 1e6).toFixed(1)} MB` : "none yet");
  const belief = Object.entries(f.belief).map(([name, value]) => `${name} ${format.short(value)}`);
  put("belief", belief.join(" · ") || "–");
}

function posterior(shares) {
  const entries = Object.entries(shares), tint = (i) => `var(--c${[0, 1, 2, 4, 5, 6, 7, 8][i % 8]})`;
  at("posterior").replaceChildren(...entries.map(([, share], i) => {
    const part = document.createElement("span");
    part.style.flex = `${share} 0 0`; part.style.background = tint(i);
    return part;
  }));
  at("posterior_legend").replaceChildren(...entries.map(([name, share], i) => {
    const item = document.createElement("li");
    item.style.setProperty("--tint", tint(i));
    item.textContent = `${/^\d+$/.test(name) ? "body " : ""}${name} ${format.share(share)}`;
    return item;
  }));
  at("posterior").setAttribute("aria-label", [...at("posterior_legend").children].map((item) => item.textContent).join(", ") || "none told");
}

function changes(rows) {
  at("changes").replaceChildren(...rows.slice().reverse().map((one) => {
    const row = document.createElement("tr");
    const said = one.noticed === null ? "not yet" : `${format.time(one.noticed)}: ${one.kind}`;
    for (const text of [format.count(one.step), one.what, one.before, one.first, one.later, said]) {
      const cell = document.createElement("td");
      cell.textContent = text; row.append(cell);
    }
    return row;
  }));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function gone() {
  const over = status && ["draining", "ended"].includes(status.phase);
  const since = status ? new Date(1000 * status.wall).toLocaleTimeString("en-GB") : "";
  root.dataset.gone = over ? "ended" : "lost";
  put("phase", over ? "ended" : "no answer"); at("phase").dataset.tone = over ? "done" : "bad";
  put("ready", since ? `last heard at ${since}` : "is it running?"); at("ready").dataset.tone = over ? "done" : "bad";
  document.title = "adaptd robot: " + at("phase").textContent;
}

async function draw() {
  const past = await ask(`history/${choice.span === "recent" ? "recent" : "run"}.json`);
  if (!past.columns.wall.length) return;
  for (const view of Object.values(views)) view.show(past, "step");
  const near = await ask("around.json");
  if (near.curves.length) {
    for (const [name, view] of Object.entries(around)) {
      const own = near.curves.map((one, i) => line(one.what, `${name}:${one.step}`, `--c${i % 12}`, { width: i + 1 === near.curves.length ? 2.2 : 1.1 }));
      view.spec.series = own;
      view.show(near, "seconds");
    }
  }
  root.dataset.drawn = ++drawn;
}

/* In the address, so that a link opens the page as it was left. */
function remember() { history.replaceState(null, "", "#" + new URLSearchParams(choice)); }

async function turn(count) {
  try {
    status = await ask("status.json");
    delete root.dataset.gone;
    state();
    if (status.figures) {
      tiles(status.figures); posterior(status.figures.posterior); changes(status.figures.around);
      if (count % 2 === 0) await draw();
    }
  } catch (error) { gone(); }
  setTimeout(turn, 1000, count + 1);
}

for (const input of document.querySelectorAll(".choice input")) {
  input.checked = choice[input.name] === input.value;
  input.addEventListener("change", () => { choice[input.name] = input.value; remember(); draw().catch(gone); });
}
turn(0);
