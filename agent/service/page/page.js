"use strict";
/* The stream's page. */

const NAMES = { accuracy: "Accuracy", kappa: "Kappa", average_precision: "Average precision", mae: "MAE", rmse: "RMSE", r2: "R²" };
const RARE = 0.2;
choice.axis ??= "wall"; choice.metric ??= null;
const DURATIONS = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 432000, 864000, 2592000];
const pair = (column, window = 1000) => [
  line(`last ${format.short(window)}`, column, "--c0", { width: 1.8, fill: true }), line("run", column + "_run", "--quiet", { width: 1.3 }),
];
const taskLine = (column, name, i) =>
  name === "new" ? line("new task", column, "--c3", { width: 1 }) : name === "others" ? line(name, column, "--quiet", { width: 1 }) : line(`task ${name}`, column, `--c${[0, 1, 2, 4, 5, 6, 7, 8][i % 8]}`, { width: 1 });
const views = {
  loss: charts.make(panel("loss"), { title: "Prequential loss", series: pair("loss"), value: format.score, floor: 0, clip: true, marks: "marks", kinds: [["drift", "--c3"]] }),
  metric: charts.make(panel("metric"), { title: "Metric", series: [], value: format.score }),
  voices: charts.make(panel("voices"), { title: "Experts' weights", series: [], value: (w) => (100 * w).toFixed(0) + " %", stacked: true, range: [0, 1], axis: (w) => 100 * w + " %" }),
  tasks: charts.make(panel("tasks"), { title: "Tasks", series: [], value: (w) => (100 * w).toFixed(0) + " %", stacked: true, range: [0, 1], axis: (w) => 100 * w + " %", marks: "changes", kinds: [["new", "--ink"], ["returned", "--ink", true]] }),
  rate: charts.make(panel("rate"), { title: "Throughput", series: [line("events/s", "rate", "--c2", { fill: true })], value: format.count, floor: 0, clip: true }),
  memory: charts.make(panel("memory"), { title: "Loss on old tasks", series: [line("today", "memory", "--c3", { width: 1.8 }), line("when left", "memory_left", "--quiet", { width: 1.3 })], value: format.score }),
  delay: charts.make(panel("delay"), { title: "Label delay", series: [line("median", "delay_p50", "--c4", { fill: true }), line("90 %", "delay_p90", "--c1")], value: format.time, floor: 0, axis: (s) => (s ? format.time(s) : "0"), incrs: DURATIONS }),
};

/* The metric that says most: for a rare class its average precision. */
function usual({ metrics, figures }) {
  if (metrics.includes("r2")) return "mae";
  return figures?.rare && figures.rare_share < RARE ? "average_precision" : "accuracy";
}

const scored = (name, value) => (name === "accuracy" ? format.share(value) : format.score(value));

function choices({ metrics }) {
  if (at("which").options.length === metrics.length) return;
  at("which").replaceChildren(...metrics.map((name) => new Option(NAMES[name], name)));
}

function state() {
  const { about } = status;
  phases(about.name);
  put("name", about.name); put("source", about.source + ({ none: " · answers are dropped", "": "" }[about.sink] ?? ` → ${about.sink}`));
}

const spelled = (counts) => Object.entries(counts).filter(([, n]) => n).sort((a, b) => b[1] - a[1])
  .map(([name, n]) => `${format.count(n)} ${name.replaceAll("_", " ")}`).join(" · ");

const behind = (lag) => lag === null ? "records behind not known"
  : lag ? `${format.count(lag)} records behind` : "source up to date";

function tiles(f) {
  const joined = f.labels.joined ?? 0, refused = Object.values(f.refused).reduce((a, b) => a + b, 0);
  const { joined: _, ...others } = f.labels, last = f.marks_last;
  put("events", format.count(f.events), f.events); put("rate", `${format.count(f.rate)} a second`);
  put("labels", format.count(joined), joined); put("outcomes", spelled(others) || "each joined once");
  put("pending", format.count(f.pending), f.pending); put("lag", behind(f.lag));
  put("refused", format.count(refused), refused); put("reasons", spelled(f.refused) || "none");
  put("loss", format.score(f.window.loss), f.window.loss); put("loss_run", `${format.score(f.run.loss)} over the run`);
  const metric = choice.metric;
  put("metric_name", NAMES[metric]); put("metric", scored(metric, f.window[metric]), f.window[metric]);
  const base = metric === "average_precision" && f.rare ? ` · ${format.share(f.rare_share)} ${f.rare}` : " over the run";
  put("metric_run", scored(metric, f.run[metric]) + base);
  put("delay", format.time(f.delay[0]), f.delay[0]); put("delay_more", `90 % within ${format.time(f.delay[1])}`);
  put("drifts", format.count(f.drifts), f.drifts);
  put("last_drift", last ? `last ${format.time(status.wall - last.wall)} ago` : "none noticed");
  put("event_time", f.event_time ? new Date(1000 * f.event_time).toISOString().slice(0, 16).replace("T", " ") : "–");
  const memory = f.memory, kinds = Object.entries(memory.plasticity);
  panel("memory").title = memory.tasks.map((one) => `task ${one.task}: ${format.score(one.loss)}, ${format.score(one.left)} when left`).join("\n");
  put("plasticity", kinds.map(([kind, value]) => `${kind.replace(/^effective_|_units$/g, "")} ${format.short(value)}`).join(" · ") || "–");
  stored(f);
}

function stages({ seconds }) {
  const entries = Object.entries(seconds), all = entries.reduce((sum, [, spent]) => sum + spent, 0) || 1;
  const tint = (i) => `var(--c${[7, 2, 0, 1, 4, 3][i % 6]})`;
  bar("stages", entries.map(([name, spent], i) => [`${name} ${(100 * spent / all).toFixed(0)} %`, spent / all, tint(i)]), "No data yet");
}

function draw(past) {
  const voices = Object.keys(past.columns).filter((name) => name.startsWith("voice:"));
  views.voices.spec.series = voices.map((name, i) => line(name.slice(6), name, `--c${i % 12}`, { width: 1 }));
  const tasks = Object.keys(past.columns).filter((name) => name.startsWith("task:"));
  panel("tasks").hidden = !tasks.length; root.toggleAttribute("data-tasks", tasks.length > 0);
  views.tasks.spec.series = tasks.map((name, i) => taskLine(name, name.slice(5), i));
  views.loss.spec.series = pair("loss", status.window);
  const metric = views.metric.spec;
  Object.assign(metric, { title: NAMES[choice.metric], series: pair(choice.metric, choice.metric === "average_precision" ? status.rare_window : status.window), value: (v) => scored(choice.metric, v) });
  metric.axis = choice.metric === "accuracy" ? (v) => +(100 * v).toFixed(1) + " %" : undefined;
  metric.ceiling = ["mae", "rmse"].includes(choice.metric) ? undefined : 1;
  metric.floor = ["mae", "rmse", "average_precision"].includes(choice.metric) ? 0 : undefined;
  for (const view of Object.values(views)) if (view.spec.series.length) view.show(past, choice.axis === "labels" ? "labels" : "wall");
}

const again = live(() => {
  state(); choices(status);
  if (!status.figures) return;
  if (!status.metrics.includes(choice.metric)) choice.metric = usual(status);
  at("which").value = choice.metric;
  tiles(status.figures); stages(status.figures);
}, draw);
at("which").addEventListener("change", () => { choice.metric = at("which").value; if (status?.figures) tiles(status.figures); again(); });
