"use strict";
/* The robots' page. */

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
  const { about } = status;
  phases(about.env);
  const many = about.robots > 1 ? `${about.robots} × ` : "";
  put("name", many + about.env); put("source", about.life || "nobody says when its body changes");
  put("controller", about.controller);
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
  stored(f);
  const belief = Object.entries(f.belief).map(([name, value]) => `${name} ${format.short(value)}`);
  put("belief", belief.join(" · ") || "–");
}

function posterior(shares) {
  const tint = (i) => `var(--c${[0, 1, 2, 4, 5, 6, 7, 8][i % 8]})`;
  const words = (name, share) => `${/^\d+$/.test(name) ? "body " : ""}${name} ${format.share(share)}`;
  bar("posterior", Object.entries(shares).map(([name, share], i) => [words(name, share), share, tint(i)]), "none told");
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

async function draw(past) {
  for (const view of Object.values(views)) view.show(past, "step");
  const near = await ask("around.json");
  if (near.curves.length) {
    for (const [name, view] of Object.entries(around)) {
      const own = near.curves.map((one, i) => line(one.what, `${name}:${one.step}`, `--c${i % 12}`, { width: i + 1 === near.curves.length ? 2.2 : 1.1 }));
      view.spec.series = own;
      view.show(near, "seconds");
    }
  }
}

live(() => {
  state();
  if (!status.figures) return;
  tiles(status.figures); posterior(status.figures.posterior); changes(status.figures.around);
}, draw);
