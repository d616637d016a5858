"use strict";
/* Charts over the history's columns. `charts.make(panel, spec)` gives {show(history, axis), redo()}. */

const format = {
  count(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (Math.abs(value) < 1e6) return Math.round(value).toLocaleString("en");
    const [unit, name] = Math.abs(value) < 1e9 ? [1e6, "M"] : [1e9, "G"];
    return (value / unit).toFixed(2) + " " + name;
  },
  short(value) {
    if (value === null || value === undefined) return "";
    const big = Math.abs(value);
    if (big >= 1e6) return +(value / 1e6).toFixed(1) + "M";
    return big >= 1e3 ? +(value / 1e3).toPrecision(3) + "k" : String(+value.toPrecision(3));
  },
  score(value) {
    if (value === null || value === undefined) return "–";
    const big = Math.abs(value);
    return big >= 1000 ? format.count(value) : value.toFixed(big >= 100 ? 1 : big >= 10 ? 2 : big >= 0.1 ? 3 : 4);
  },
  share(value) { return value === null || value === undefined ? "–" : (100 * value).toFixed(value > 0 && value < 0.1 ? 2 : 1) + " %"; },
  time(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const [size, name] = units.find(([unit]) => Math.abs(seconds) >= unit) || [0.001, "ms"];
    return +(seconds / size).toFixed(seconds / size < 10 ? 1 : 0) + " " + name;
  },
};

const charts = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const sync = uPlot.sync("run");
  const faint = (colour, part) => colour + Math.round(part * 255).toString(16).padStart(2, "0");

  /* The first quarter may leave through the top, so that an agent's beginning, when it knew nothing
     (a high loss) or had no labels to learn (a high rate), does not flatten all that came after; the
     later part always fits. */
  function top([main, ...others], clip) {
    const peak = (column, from = 0) => column.slice(from).reduce((most, value) => Math.max(most, value ?? most), -Infinity);
    const later = peak(main, Math.floor(main.length / 4)), most = Math.max(peak(main), ...others.map((column) => peak(column)));
    return clip && later > 0 && most > 2 * later ? 1.5 * later : most;
  }

  function range(spec) {
    return (u, low, high) => {
      if (spec.range) return spec.range;
      if (low === null) return [0, 1];
      const ceiling = top(u.data.slice(1), spec.clip), floor = spec.floor === undefined ? low : Math.min(spec.floor, low);
      const room = (ceiling - floor || Math.abs(ceiling) || 1) * 0.08;
      return [floor === spec.floor ? floor : floor - room, Math.min(ceiling + room, spec.ceiling ?? Infinity)];
    };
  }

  function clock(seconds, step) {
    const day = new Date(1000 * seconds), time = day.toLocaleTimeString("en-GB");
    if (step < 60) return time;
    if (step < 86400 && (day.getHours() || day.getMinutes())) return time.slice(0, 5);
    return day.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  }

  /* Solid, so that stacked areas do not shine through one another. */
  function mixed(colour, back, part) {
    const [a, b] = [colour, back].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return "rgb(" + a.map((value, i) => Math.round(value * part + b[i] * (1 - part))).join() + ")";
  }

  function flags(u, marks, spec, axis) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save();
    ctx.lineWidth = ratio;
    for (const mark of marks) {
      const x = Math.round(u.valToPos(mark[axis], "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const [, colour, hollow] = spec.kinds.find(([kind]) => kind === mark.kind) ?? spec.kinds[0];
      ctx.strokeStyle = ctx.fillStyle = css(colour);
      ctx.setLineDash([4 * ratio, 3 * ratio]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      ctx.setLineDash([]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x + 7 * ratio, bbox.top + 4 * ratio);
      ctx.lineTo(x, bbox.top + 8 * ratio); ctx.closePath();
      if (hollow) ctx.stroke(); else ctx.fill();
    }
    ctx.restore();
  }

  function axes(spec, axis) {
    const common = { stroke: css("--dim"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const x = { ...common, grid: { show: false }, size: 24, gap: 4, space: (u, i, low, high, wide) => (wide < 260 ? 62 : 86) };
    const inside = (u, at) => { const x = u.valToPos(at, "x"); return x > 14 && x < u.bbox.width / devicePixelRatio - 22; };
    const said = (at, step) => (axis === "wall" ? clock(at, step) : format.short(at));
    x.values = (u, splits, _, __, step) => splits.map((at) => (inside(u, at) ? said(at, step) : ""));
    const y = { ...common, grid: { stroke: css("--grid"), width: 1 }, size: 46, gap: 4, space: 30 };
    y.values = (u, splits) => splits.map(spec.axis || format.short);
    if (spec.incrs) y.incrs = spec.incrs;
    return [x, y];
  }

  function series(spec) {
    return spec.series.map((line) => ({
      stroke: css(line.colour), width: spec.stacked ? 0 : line.width ?? 1.6, points: { show: false }, spanGaps: true,
      fill: spec.stacked ? mixed(css(line.colour), css("--panel"), 0.62) : line.fill ? faint(css(line.colour), 0.12) : undefined,
    }));
  }

  /* Each band reaches from its own running sum down to the axis; drawn from the top one down. */
  function stack(columns) {
    const sums = [];
    columns.forEach((column, i) => sums.push(column.map((value, j) => (value ?? 0) + (i ? sums[i - 1][j] : 0))));
    return sums.reverse();
  }

  function make(panel, spec) {
    const plot = panel.querySelector(".plot"), legend = panel.querySelector(".legend");
    let chart = null, shown = null, key = "";

    /* The latest value known at that point: some are taken more rarely than others. */
    function known(column, index) {
      for (let i = index; i >= Math.max(0, index - 20); i--) if (column[i] !== null) return column[i];
      return null;
    }

    function told(index) {
      const columns = spec.series.map((line) => shown.history.columns[line.column]);
      const values = columns.map((column) => (column ? known(column, index) : null));
      [...legend.querySelectorAll("b")].forEach((cell, i) => {
        cell.textContent = values[i] === null ? "–" : spec.value(values[i]);
      });
    }

    function labelled() {
      legend.replaceChildren(...spec.series.map((line) => {
        const item = document.createElement("li");
        item.style.setProperty("--tint", `var(${line.colour})`);
        const name = document.createElement("span");
        name.textContent = name.title = line.name;
        item.append(name, " ", document.createElement("b"));
        return item;
      }));
      for (const [kind, colour, hollow] of spec.kinds ?? []) {
        const flag = document.createElement("li");
        flag.className = hollow ? "flag hollow" : "flag";
        flag.style.setProperty("--tint", `var(${colour})`);
        flag.append(kind);
        legend.append(flag);
      }
    }

    function build(data) {
      chart?.destroy();
      labelled();
      const lines = series(spec);
      chart = new uPlot({
        width: Math.max(60, plot.clientWidth), height: Math.max(60, plot.clientHeight), padding: [6, 8, 0, 0],
        legend: { show: false }, cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false }, sync: { key: sync.key } },
        scales: { x: { time: shown.axis === "wall" }, y: { range: range(spec) } },
        axes: axes(spec, shown.axis), series: [{}, ...(spec.stacked ? lines.reverse() : lines)],
        hooks: {
          draw: [(u) => spec.marks && flags(u, shown.history[spec.marks], spec, shown.axis)],
          setCursor: [(u) => told(u.cursor.idx ?? u.data[0].length - 1)],
        },
      }, data, plot);
    }

    function show(history, axis) {
      shown = { history, axis };
      const blank = history.columns[axis].map(() => null);
      const columns = spec.series.map((line) => history.columns[line.column] ?? blank);
      const data = [history.columns[axis], ...(spec.stacked ? stack(columns) : columns)];
      const now = axis + spec.series.map((line) => line.name + line.column).join();
      if (now !== key || !chart) { key = now; build(data); } else chart.setData(data);
      told(chart.cursor.idx ?? data[0].length - 1);
      const said = [...legend.querySelectorAll("li:not(.flag)")].map((item) => item.textContent).join(", ");
      const marks = (spec.kinds ?? []).map(([kind]) => `, ${history[spec.marks].filter((mark) => (mark.kind ?? kind) === kind).length} ${kind}${kind === "drift" ? "s" : ""}`);
      plot.setAttribute("aria-label", `${spec.title}: ${said}` + marks.join(""));
    }

    const redo = () => { key = ""; if (shown) show(shown.history, shown.axis); };
    new ResizeObserver(() => chart?.setSize({ width: plot.clientWidth, height: plot.clientHeight })).observe(plot);
    dark.addEventListener("change", redo);
    return { show, redo, spec };
  }

  return { make };
})();
