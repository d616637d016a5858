"use strict";
/* What every page here does: asks /status.json each second and the history every two, and says so
   when nobody answers. A page's own script gives `live` what to show and what to draw. */

const at = (id) => document.getElementById(id);
const root = document.documentElement, title = document.title;
const choice = { span: "run", ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
const line = (name, column, colour, more = {}) => ({ name, column, colour, ...more });
const panel = (name) => document.querySelector(`[data-chart="${name}"]`);
let status = null, drawn = 0;

function put(id, text, value) {
  const node = at(id);
  if (node.textContent !== text) { node.textContent = text; node.title = text; }
  if (value !== undefined) node.dataset.value = value;
}

function phases(name) {
  const { phase, ready, alive, reasons } = status;
  const tone = { running: alive ? "good" : "bad", starting: "wait", draining: "wait", ended: "done" }[phase];
  put("phase", alive ? phase : "stuck"); at("phase").dataset.tone = tone;
  put("ready", ready ? "ready" : phase === "ended" ? "all done" : reasons[0] || "not ready");
  at("ready").dataset.tone = ready ? "good" : phase === "ended" ? "done" : phase === "running" ? "bad" : "wait";
  at("ready").title = reasons.join("; ");
  put("uptime", format.time(status.uptime));
  document.title = `${name}: ${phase}`;
}

function stored({ checkpoint }) {
  put("checkpoint", checkpoint ? `${format.time(checkpoint.age)} ago, ${(checkpoint.bytes / 1e6).toFixed(1)} MB` : "none yet");
}

/* A bar of shares and its legend: [words, share of one, tint] each. */
function bar(id, shares, none) {
  const [whole, legend] = [at(id), at(`${id}_legend`)];
  for (const [parent, tag] of [[whole, "span"], [legend, "li"]]) {
    while (parent.children.length < shares.length) parent.append(document.createElement(tag));
    while (parent.children.length > shares.length) parent.lastChild.remove();
  }
  shares.forEach(([words, share, tint], i) => {
    const [part, item] = [whole.children[i], legend.children[i]];
    part.style.flex = `${share} 0 0`; part.style.background = tint;
    item.style.setProperty("--tint", tint); item.textContent = words;
  });
  whole.setAttribute("aria-label", shares.map(([words]) => words).join(", ") || none);
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
  document.title = `${title}: ` + at("phase").textContent;
}

/* In the address, so that a link opens the page as it was left. */
function remember() { history.replaceState(null, "", "#" + new URLSearchParams(choice)); }

/* Gives what draws anew when a choice was made. */
function live(show, draw) {
  async function past() {
    const found = await ask(`history/${choice.span === "recent" ? "recent" : "run"}.json`);
    if (!found.columns.wall.length) return;
    await draw(found);
    root.dataset.drawn = ++drawn;
  }
  async function turn(count) {
    try {
      status = await ask("status.json");
      delete root.dataset.gone;
      show();
      if (status.figures && count % 2 === 0) await past();
    } catch (error) { gone(); }
    setTimeout(turn, 1000, count + 1);
  }
  const again = () => { remember(); past().catch(gone); };
  for (const input of document.querySelectorAll(".choice input")) {
    input.checked = choice[input.name] === input.value;
    input.addEventListener("change", () => { choice[input.name] = input.value; again(); });
  }
  turn(0);
  return again;
}
