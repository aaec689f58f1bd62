// The viewer: one or several panes that share one clock and one view. Python sends what to show; the
// browser fetches frames, draws, plays and zooms by itself, and reports only where it came to rest
// ("frame") and what was clicked ("pick").

import { listen, tell } from "./bus.js";
import { FrameStore, decodeImage, decodeLabels } from "./frames.js";
import {
  QUIET, colourTables, drawDivisions, drawIds, drawImage, drawMark, drawStroke, drawTails, paintLabels, withColours,
} from "./draw.js";
import { NO_TRACKS, loadTracks } from "./tracks.js";

const store = new FrameStore(256 * 2 ** 20);
const views = new Map(); // movie → the view it was left with, so that zoom survives a change of page
const viewers = new WeakMap();
const FINEST = 2048; // frames with longer sides come at a reduced level
const LOOK_AHEAD = 8;
const TAIL = 10;

export function mount(component) {
  const root = component.parentElement.querySelector(".viewer");
  let viewer = viewers.get(root);
  if (!viewer) {
    viewer = new Viewer(root);
    viewers.set(root, viewer);
  }
  viewer.update(component);
  return () => {
    viewer.leave();
    viewers.delete(root);
  };
}

// Where a key press means something already: fields, lists, tables, plots, menus, and buttons for Space.
const OWN_KEYS = "input, textarea, select, [contenteditable], [role=slider], [role=radio], [role=radiogroup], [role=tab], " +
  "[role=combobox], [role=listbox], [role=menu], [role=grid], [role=dialog], .viewer, .stDataFrame, .js-plotly-plot";

function hasKeysOfItsOwn(element) {
  return element instanceof Element && element.matches(OWN_KEYS);
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.index = 0;
    this.view = null; // {x, y, zoom} in pixels of the movie; null: the whole frame
    this.panes = [];
    this.selected = {}; // layer → label
    this.revision = null;
    this.settings = { mode: "outline", tails: true, ids: false, light: 1, contrast: 1, z: "max" };
    this.direction = 1;
    this.playing = null;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.part("panes"));
    this.listen();
    this.hovered = {}; // layer → label that is pointed at in the tree beside
    this.stops = [listen("hover", this, (told) => this.lookAt(told)), listen("select", this, (told) => this.follows(told))];
    // What could not be fetched while the page was hidden or the network away is fetched when they are back.
    this.wake = () => {
      if (!document.hidden && this.panes.some((pane) => !pane.base || pane.base.error)) this.refresh();
    };
    document.addEventListener("visibilitychange", this.wake);
    window.addEventListener("online", this.wake);
  }

  leave() {
    this.stop();
    this.stops.forEach((stop) => stop());
    this.observer.disconnect();
    document.removeEventListener("keydown", this.anywhere);
    document.removeEventListener("visibilitychange", this.wake);
    window.removeEventListener("online", this.wake);
  }

  // What Python sends. Its frame, selection and focus are taken over only with a new revision, so that the
  // echo of the browser's own report does not move anything.
  update({ data, setStateValue, setTriggerValue }) {
    this.setState = setStateValue;
    this.trigger = setTriggerValue;
    const layout = JSON.stringify([
      data.place, data.panes, data.frames, data.shape, data.columns, data.api, data.chosen,
    ]);
    if (layout !== this.layout) {
      this.layout = layout;
      const number = this.data ? this.number() : data.t;
      this.data = data;
      if (data.place !== this.where) {
        this.where = data.place;
        this.view = views.get(data.place) || null;
      }
      this.goTo(this.nearest(number), { silent: true });
      this.build();
    }
    this.data = data;
    const [rows, columns] = data.shape.slice(-2);
    // One picture is as high as it is at full width, several share the whole height where they do not become slits.
    const slits = 125 * Math.ceil(data.panes.length / data.columns) / data.columns;
    Object.assign(this.part("panes").style, data.panes.length > 1 ? { height: `min(${data.height}, ${slits}cqw)` } : {
      height: "auto", aspectRatio: `${columns} / ${rows}`, minHeight: "200px", maxHeight: data.height,
    });
    this.part("more").hidden = Boolean(data.compact);
    if (data.revision !== this.revision) {
      this.revision = data.revision;
      this.selected = { ...data.selected };
      if (!this.playing) this.goTo(this.nearest(data.t), { silent: true });
      if (data.focus) {
        const zoom = Math.max(data.focus.zoom || 0, this.view ? this.view.zoom : 0);
        this.view = this.bounded({ x: data.focus.x, y: data.focus.y, zoom: zoom || 3 });
      }
    }
    this.refresh();
  }

  number() {
    return this.data.frames[this.index];
  }

  nearest(number) {
    const { frames } = this.data;
    let best = 0;
    frames.forEach((frame, i) => {
      if (Math.abs(frame - number) < Math.abs(frames[best] - number)) best = i;
    });
    return best;
  }

  build() {
    const holder = this.part("panes");
    holder.replaceChildren();
    holder.style.gridTemplateColumns = `repeat(${this.data.columns}, minmax(0, 1fr))`;
    const sides = this.data.shape.slice(-2);
    this.step = Math.max(1, Math.ceil(Math.max(...sides) / FINEST));
    this.panes = this.data.panes.map((spec) => {
      const box = document.createElement("div");
      box.className = "pane";
      const image = document.createElement("canvas");
      const overlay = document.createElement("canvas");
      overlay.tabIndex = 0;
      overlay.setAttribute("role", "application");
      overlay.setAttribute("aria-label", `${spec.title || "Movie"}: image with tracks. Arrow keys step through the frames.`);
      const title = document.createElement("span");
      title.className = "title";
      title.textContent = spec.title;
      title.hidden = !spec.title;
      const note = document.createElement("span");
      note.className = "note";
      note.hidden = true;
      box.append(image, overlay, title, note);
      holder.append(box);
      const pane = { spec, box, image, overlay, note, tracks: NO_TRACKS, tables: null, base: null, detail: null };
      this.point(pane);
      if (spec.tracks) {
        loadTracks(this.data.api + spec.tracks).then((tracks) => {
          pane.tracks = tracks;
          pane.tables = null;
          this.draw();
        }, (error) => {
          pane.note.textContent = error.message;
          pane.note.hidden = false;
        });
      }
      return pane;
    });
    const clock = this.part("clock");
    clock.max = this.data.frames.length - 1;
    const depth = this.data.shape.length === 3 ? this.data.shape[0] : 0;
    this.part("depth-field").hidden = !depth;
    this.part("depth").max = depth - 1;
  }

  // ---- the tree beside ----

  // A branch is pointed at there: show its cell, until the pointer leaves.
  lookAt({ layer, place, label, frame }) {
    if (place !== this.data.place || this.playing) return;
    this.hovered = label ? { [layer]: label } : {};
    if (!label) {
      if (this.before) {
        this.view = this.before.view;
        this.goTo(this.before.index, { silent: true });
      }
      this.before = null;
      return this.draw();
    }
    this.before = this.before || { index: this.index, view: this.view };
    this.goTo(this.nearest(frame), { silent: true });
  }

  // A branch was clicked there: its cell and frame stay.
  follows({ layer, place, label, frame }) {
    if (place !== this.data.place) return;
    this.before = null;
    this.playing = null;
    this.selected = { ...this.selected, [layer]: label };
    this.goTo(this.nearest(frame), { silent: true });
  }

  // ---- the clock ----

  goTo(index, { silent = false } = {}) {
    const last = this.data.frames.length - 1;
    const wanted = Math.min(last, Math.max(0, index));
    this.direction = wanted < this.index ? -1 : 1;
    this.index = wanted;
    this.refresh();
    if (!silent) this.report();
  }

  // Tell Python where the clock stands, once it has come to rest.
  report() {
    clearTimeout(this.waiting);
    if (this.playing) return;
    this.waiting = setTimeout(() => {
      if (this.number() !== this.data.t) this.setState("frame", this.number());
    }, 300);
  }

  play() {
    if (this.playing) return this.stop();
    this.playing = true;
    this.direction = 1;
    const pace = 1000 / (this.data.fps || 12);
    const next = async () => {
      if (!this.playing) return;
      const started = performance.now();
      const index = (this.index + 1) % this.data.frames.length;
      await this.fetchAll(index).catch(() => {});
      if (!this.playing) return;
      this.index = index;
      this.refresh();
      setTimeout(() => requestAnimationFrame(next), Math.max(0, pace - (performance.now() - started)));
    };
    next();
    this.controls();
  }

  stop() {
    if (!this.playing) return;
    this.playing = null;
    this.controls();
    this.report();
  }

  // ---- fetching ----

  numberOf(pane, index) {
    const number = this.data.frames[index] + (pane.spec.offset || 0);
    return this.data.frames.includes(number) ? number : null;
  }

  addresses(pane, index, region) {
    const number = this.numberOf(pane, index);
    if (number === null) return {};
    const query = new URLSearchParams({ z: this.settings.z, step: region ? region.step : this.step });
    if (region) query.set("crop", [region.y0, region.x0, region.y1, region.x1].join(","));
    const full = (path, version) => `${this.data.api}${path}/${number}?${query}&v=${version}`;
    const { image, labels, imageVersion, labelVersion, labelFrames } = pane.spec;
    return {
      image: image && full(image, imageVersion),
      labels: labels && (!labelFrames || labelFrames.includes(number)) ? full(labels, labelVersion) : null,
    };
  }

  fetchPane(pane, index, region) {
    const { image, labels } = this.addresses(pane, index, region);
    const step = region ? region.step : this.step;
    return Promise.all([
      image ? store.load(image, decodeImage) : null,
      labels ? store.load(labels, (answer) => decodeLabels(answer, step)) : null,
    ]);
  }

  fetchAll(index) {
    return Promise.all(this.panes.map((pane) => this.fetchPane(pane, index)));
  }

  // A frame that is kept already; undefined where something is missing.
  keptPane(pane, index) {
    const { image, labels } = this.addresses(pane, index);
    const patch = { image: image ? store.get(image) : null, labels: labels ? store.get(labels) : null, x0: 0, y0: 0, step: this.step };
    return patch.image === undefined || patch.labels === undefined ? undefined : patch;
  }

  // Show the current frame: at once where it is kept, else as soon as it is there; then fetch the next ones.
  async refresh() {
    if (!this.panes.length) return;
    const index = this.index;
    this.controls();
    const kept = this.panes.map((pane) => this.keptPane(pane, index));
    if (kept.every(Boolean)) {
      this.show(kept, index);
      this.drawNow();
    } else {
      const patches = await Promise.all(this.panes.map((pane) => this.fetchPane(pane, index).then(
        ([image, labels]) => ({ image, labels, x0: 0, y0: 0, step: this.step }),
        (error) => ({ error }),
      )));
      if (index !== this.index) return;
      this.show(patches, index);
      this.draw();
    }
    this.lookAhead(index);
  }

  show(patches, index) {
    this.panes.forEach((pane, i) => {
      pane.base = patches[i];
      pane.shown = this.numberOf(pane, index);
      pane.detail = null;
      pane.note.hidden = !patches[i].error && pane.shown !== null;
      pane.note.textContent = patches[i].error ? patches[i].error.message : this.absence(pane, index);
    });
  }

  // Why a pane has no frame to show.
  absence(pane, index) {
    const { frames } = this.data;
    const number = frames[index] + (pane.spec.offset || 0);
    if (number < frames[0]) return "The movie begins with the next frame";
    return number > frames[frames.length - 1] ? "The movie ends with the frame before" : "No such frame";
  }

  // Frames that come next, whole; of those before, only the labels, for the tails.
  async lookAhead(index) {
    const [height, width] = this.data.shape.slice(-2).map((side) => side / this.step);
    const room = Math.floor(store.limit / 3 / (6 * height * width * this.panes.length));
    const ahead = Math.max(1, Math.min(LOOK_AHEAD, room));
    for (let n = 1; n <= ahead; n++) {
      const next = index + n * this.direction;
      if (index !== this.index && !this.playing) return;
      if (next < 0 || next >= this.data.frames.length) continue;
      if (this.panes.every((pane) => this.keptPane(pane, next))) continue;
      await this.fetchAll(next).catch(() => {});
    }
    if (!this.settings.tails || this.playing) return;
    let missing = false;
    for (let n = 1; n <= TAIL && index - n >= 0; n++) {
      for (const pane of this.panes) {
        const { labels } = this.addresses(pane, index - n);
        if (index !== this.index) return;
        if (!labels || store.cells.has(labels)) continue;
        await store.load(labels, (answer) => decodeLabels(answer, this.step)).catch(() => {});
        missing = true;
      }
    }
    if (missing && index === this.index) this.draw();
  }

  // A large frame, looked at closely: fetch the piece in view with all its pixels.
  fetchDetail() {
    clearTimeout(this.detailing);
    if (this.step === 1) return;
    this.detailing = setTimeout(async () => {
      const index = this.index;
      for (const pane of this.panes) {
        const geometry = this.geometry(pane);
        if (geometry.zoom * this.step <= 1.2 || this.playing) continue;
        const [height, width] = this.data.shape.slice(-2);
        const grid = 256;
        const low = (value) => Math.max(0, Math.floor(value / grid) * grid);
        const x0 = low(geometry.x0);
        const y0 = low(geometry.y0);
        const x1 = Math.min(width, Math.ceil((geometry.x0 + pane.overlay.width / geometry.k) / grid) * grid);
        const y1 = Math.min(height, Math.ceil((geometry.y0 + pane.overlay.height / geometry.k) / grid) * grid);
        if (x1 <= x0 || y1 <= y0) continue;
        const step = Math.max(1, Math.min(this.step, Math.floor(1 / geometry.zoom)));
        if (step === this.step) continue;
        const region = { x0, y0, x1, y1, step };
        const found = await this.fetchPane(pane, index, region).catch(() => null);
        if (found && index === this.index) {
          pane.detail = { image: found[0], labels: found[1], ...region };
          this.draw({ again: true });
        }
      }
    }, 150);
  }

  // ---- drawing ----

  // The view moved so that, where it can, the movie fills the pane also at its border.
  bounded({ x, y, zoom }) {
    const { clientWidth, clientHeight } = this.panes[0].box;
    const [rows, columns] = this.data.shape.slice(-2);
    const within = (at, size, side) => {
      const half = side / zoom / 2;
      return size <= 2 * half ? size / 2 : Math.min(size - half, Math.max(half, at));
    };
    return { x: within(x, columns, clientWidth), y: within(y, rows, clientHeight), zoom };
  }

  geometry(pane) {
    const width = pane.box.clientWidth || 1;
    const height = pane.box.clientHeight || 1;
    const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(4e6 / (width * height)));
    const [rows, columns] = this.data.shape.slice(-2);
    const fit = Math.min(width / columns, height / rows);
    const view = this.view || { x: columns / 2, y: rows / 2, zoom: fit };
    const k = view.zoom * ratio;
    return { width, height, ratio, k, fit, zoom: view.zoom, x0: view.x - (width * ratio) / 2 / k, y0: view.y - (height * ratio) / 2 / k };
  }

  draw({ again = false } = {}) {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.drawNow({ again });
    });
  }

  drawNow({ again = false } = {}) {
    if (this.where) views.set(this.where, this.view);
    for (const pane of this.panes) this.drawPane(pane);
    if (this.panes.length && this.panes.every((pane) => pane.base)) {
      const shown = String(this.number());
      if (this.root.dataset.frame !== shown) {
        this.root.dataset.frame = shown;
        tell("frame", { from: this, place: this.data.place, frame: this.number() });
      }
      this.describe();
    }
    if (!again) this.fetchDetail();
  }

  drawPane(pane) {
    if (!pane.base) return;
    const view = this.geometry(pane);
    const width = Math.max(1, Math.round(view.width * view.ratio));
    const height = Math.max(1, Math.round(view.height * view.ratio));
    for (const canvas of [pane.image, pane.overlay]) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    }
    const below = pane.image.getContext("2d");
    below.clearRect(0, 0, width, height);
    const above = pane.overlay.getContext("2d");
    above.clearRect(0, 0, width, height);
    const { light, contrast } = this.settings;
    pane.image.style.filter = light === 1 && contrast === 1 ? "" : `brightness(${light}) contrast(${contrast})`;
    if (pane.shown === null || pane.base.error) return;
    const painted = Boolean(pane.spec.paint);
    const style = {
      mode: painted ? "fill" : this.settings.mode, selected: this.selected[pane.spec.layer] || 0,
      width: Math.max(2, Math.round(1.5 * view.ratio)),
    };
    const patches = [pane.base, pane.detail].filter(Boolean);
    for (const patch of patches) if (patch.image) drawImage(below, patch, view);
    if (!pane.base.labels) return this.drawMarks(pane, above, view);
    if (!pane.pixels || pane.pixels.width !== width || pane.pixels.height !== height) {
      pane.pixels = above.createImageData(width, height);
      pane.buffer = new Uint32Array(pane.pixels.data.buffer);
    }
    pane.buffer.fill(0);
    const cells = pane.base.labels.cells;
    let top = pane.tracks.top;
    for (const label of cells.keys()) if (label > top) top = label;
    paintLabels(pane.buffer, width, height, pane.detail || pane.base, view, { ...style, ...this.tablesOf(pane, top) });
    above.putImageData(pane.pixels, 0, 0);
    if (painted) return this.drawMarks(pane, above, view);
    if (this.settings.tails) {
      const before = [];
      for (let n = 1; n <= TAIL; n++) {
        const { labels } = this.index - n >= 0 ? this.addresses(pane, this.index - n) : {};
        before.push(labels ? store.cells.get(labels) : undefined);
      }
      drawTails(above, cells, before, pane.tracks, view, style);
    }
    drawDivisions(above, cells, pane.shown, pane.tracks, view, style);
    if (this.settings.ids || style.selected) {
      const named = this.settings.ids ? cells : new Map([...cells].filter(([label]) => label === style.selected));
      drawIds(above, named, view, style, view.ratio);
    }
    this.drawHovered(pane, above, view);
    this.drawMarks(pane, above, view);
  }

  // A ring around the cell that is pointed at in the tree; the view follows it.
  drawHovered(pane, context, view) {
    const cell = pane.base.labels.cells.get(this.hovered[pane.spec.layer]);
    if (!cell) return;
    const [x, y] = [(cell.x - view.x0) * view.k, (cell.y - view.y0) * view.k];
    if (this.view && (x < 0 || y < 0 || x > pane.overlay.width || y > pane.overlay.height)) {
      this.view = this.bounded({ ...this.view, x: cell.x, y: cell.y });
      return this.draw();
    }
    drawMark(context, cell, view, view.ratio);
  }

  // The colours of a pane: those of the tracks, or quiet ones where others are spoken of; and what its frame adds.
  tablesOf(pane, top) {
    const { paint, layer } = pane.spec;
    const chosen = ((this.data.chosen || {})[layer] || []).length ? this.data.chosen[layer] : null;
    if (!pane.tables || pane.tables.line.length <= top) {
      const { palette } = this.data;
      const spoken = paint ? new Set() : chosen && new Set(chosen);
      pane.tables = colourTables(top, (label) => (
        spoken && !spoken.has(label) ? QUIET : pane.tracks.colourOf.get(label) ?? palette[label % palette.length]
      ));
    }
    const own = paint ? paint[pane.shown] : pane.tracks.cells.get(pane.shown);
    return withColours(pane.tables, chosen && own ? own.filter(([label]) => chosen.includes(label)) : own);
  }

  drawMarks(pane, context, view) {
    for (const mark of pane.spec.marks || []) {
      if (mark.t === pane.shown) drawMark(context, mark, view, view.ratio);
    }
    for (const stroke of this.data.strokes || []) {
      if (stroke.t === pane.shown) drawStroke(context, stroke.points, view, view.ratio);
    }
    if (pane.stroke) drawStroke(context, pane.stroke, view, view.ratio);
  }

  describe() {
    const cells = this.panes[0].base.labels ? this.panes[0].base.labels.cells.size : 0;
    const label = this.selected[this.panes[0].spec.layer];
    this.root.dataset.track = label ? String(label) : "";
    const text = `Frame ${this.number()}, ${cells} cells${label ? `, track ${label} selected` : ""}`;
    if (!this.playing) this.part("status").textContent = text;
  }

  controls() {
    const { frames } = this.data;
    this.part("clock").value = this.index;
    this.part("clock").setAttribute("aria-valuetext", `Frame ${this.number()}`);
    this.part("time").textContent = `${this.number()} / ${frames[frames.length - 1]}`;
    const play = this.part("play");
    play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    play.classList.toggle("on", Boolean(this.playing));
    this.part("mode").value = this.settings.mode;
    for (const name of ["tails", "ids"]) this.part(name).setAttribute("aria-pressed", String(this.settings[name]));
  }

  // ---- hands ----

  listen() {
    const act = {
      play: () => this.play(),
      tails: () => this.toggle("tails"),
      ids: () => this.toggle("ids"),
      fit: () => this.fit(),
    };
    for (const [name, action] of Object.entries(act)) this.part(name).onclick = action;
    this.part("clock").oninput = (event) => {
      this.playing = null;
      this.goTo(Number(event.target.value));
    };
    this.part("mode").onchange = (event) => this.set({ mode: event.target.value });
    this.part("light").oninput = (event) => this.set({ light: Number(event.target.value) });
    this.part("contrast").oninput = (event) => this.set({ contrast: Number(event.target.value) });
    this.part("depth").oninput = (event) => this.set({ z: event.target.value });
    this.part("project").onclick = () => this.set({ z: "max" });
    this.root.onkeydown = (event) => this.key(event);
    this.anywhere = (event) => {
      if (!event.defaultPrevented && !event.composedPath().some(hasKeysOfItsOwn)) this.key(event);
    };
    document.addEventListener("keydown", this.anywhere);
  }

  set(change) {
    Object.assign(this.settings, change);
    const { z } = this.settings;
    this.part("plane").textContent = z === "max" ? "projection" : `plane ${z}`;
    this.refresh();
  }

  toggle(name) {
    this.set({ [name]: !this.settings[name] });
  }

  fit() {
    this.view = null;
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const step = event.shiftKey ? 10 : 1;
    const last = this.data.frames.length - 1;
    const modes = ["outline", "fill", "none"];
    const keys = {
      ArrowRight: () => this.move(this.index + step),
      ArrowLeft: () => this.move(this.index - step),
      Home: () => this.move(0),
      End: () => this.move(last),
      " ": () => this.play(),
      o: () => this.set({ mode: modes[(modes.indexOf(this.settings.mode) + 1) % 3] }),
      t: () => this.toggle("tails"),
      i: () => this.toggle("ids"),
      "[": () => this.toParent(),
      "]": () => this.toDaughter(),
      "+": () => this.zoomBy(1.25),
      "-": () => this.zoomBy(0.8),
      0: () => this.fit(),
    };
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  move(index) {
    this.playing = null;
    this.goTo(index);
  }

  toParent() {
    this.follow((tracks, label) => {
      const parent = tracks.parentOf.get(label);
      return parent ? [parent, tracks.endOf.get(parent)] : null;
    });
  }

  toDaughter() {
    this.follow((tracks, label) => {
      const [daughter] = tracks.children.get(label) || [];
      return daughter ? [daughter, tracks.beginOf.get(daughter)] : null;
    });
  }

  follow(find) {
    const pane = this.panes.find((one) => this.selected[one.spec.layer]);
    const found = pane && find(pane.tracks, this.selected[pane.spec.layer]);
    if (!found) return;
    this.move(this.nearest(found[1]));
    this.select(pane, found[0], null, false);
  }

  zoomBy(factor, x, y) {
    const pane = this.panes[0];
    const now = this.geometry(pane);
    const centre = this.view || { x: this.data.shape.at(-1) / 2, y: this.data.shape.at(-2) / 2 };
    const zoom = Math.min(64, Math.max(now.fit / 2, now.zoom * factor));
    const ratio = now.zoom / zoom;
    const [ax, ay] = x === undefined ? [centre.x, centre.y] : [x, y];
    this.view = this.bounded({ x: ax + (centre.x - ax) * ratio, y: ay + (centre.y - ay) * ratio, zoom });
    this.draw();
  }

  // Pixel of the movie under the pointer.
  place(pane, event) {
    const box = pane.overlay.getBoundingClientRect();
    const { x0, y0, zoom } = this.geometry(pane);
    return { x: x0 + (event.clientX - box.left) / zoom, y: y0 + (event.clientY - box.top) / zoom };
  }

  labelAt(pane, { x, y }) {
    for (const patch of [pane.detail, pane.base]) {
      if (!patch || !patch.labels) continue;
      const column = Math.floor((x - patch.x0) / patch.step);
      const row = Math.floor((y - patch.y0) / patch.step);
      const { pixels, width, height } = patch.labels;
      if (column >= 0 && row >= 0 && column < width && row < height) return pixels[row * width + column];
    }
    return 0;
  }

  point(pane) {
    const canvas = pane.overlay;
    let start = null;
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      if (this.data.pen) return this.beginStroke(pane, event);
      start = { x: event.clientX, y: event.clientY, moved: false };
    };
    canvas.onpointermove = (event) => {
      if (pane.stroke) {
        const { x, y } = this.place(pane, event);
        pane.stroke.push([y, x]);
        this.draw();
        return;
      }
      if (!start) {
        const label = this.labelAt(pane, this.place(pane, event));
        canvas.title = label ? `Track ${label}` : "";
        canvas.style.cursor = this.data.pen ? "crosshair" : label ? "pointer" : "grab";
        tell("hover", { from: this, layer: pane.spec.layer, label });
        return;
      }
      const dx = event.clientX - start.x;
      const dy = event.clientY - start.y;
      if (!start.moved && Math.hypot(dx, dy) < 4) return;
      const { zoom } = this.geometry(pane);
      const centre = this.view || { x: this.data.shape.at(-1) / 2, y: this.data.shape.at(-2) / 2, zoom };
      this.view = this.bounded({ x: centre.x - dx / zoom, y: centre.y - dy / zoom, zoom: centre.zoom });
      start = { x: event.clientX, y: event.clientY, moved: true };
      this.draw();
    };
    canvas.onpointerup = (event) => {
      if (pane.stroke) return this.endStroke(pane);
      const click = start && !start.moved;
      start = null;
      if (!click) return;
      const place = this.place(pane, event);
      this.select(pane, this.labelAt(pane, place), place, event.shiftKey);
    };
    canvas.ondblclick = () => this.fit();
    canvas.onwheel = (event) => {
      if (!event.ctrlKey && !event.metaKey && this.root.getRootNode().activeElement !== canvas) return; // let the page scroll
      event.preventDefault();
      const { x, y } = this.place(pane, event);
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, x, y);
    };
  }

  // A stroke on the image, in pixels of the movie; Python hears of it when it is whole.
  beginStroke(pane, event) {
    const { x, y } = this.place(pane, event);
    pane.stroke = [[y, x]];
  }

  endStroke(pane) {
    const points = pane.stroke;
    pane.stroke = null;
    clearTimeout(this.waiting);
    this.trigger("stroke", {
      layer: pane.spec.layer, frame: this.number() + (pane.spec.offset || 0), points, plane: this.settings.z,
    });
  }

  select(pane, label, place, second) {
    if (!pane.spec.layer) return;
    if (!second) {
      this.selected = { ...this.selected, [pane.spec.layer]: label };
      this.draw();
    }
    clearTimeout(this.waiting);
    if (!second) tell("select", { from: this, layer: pane.spec.layer, label });
    this.trigger("pick", {
      layer: pane.spec.layer, frame: this.number() + (pane.spec.offset || 0), label, second: Boolean(second),
      x: place ? place.x : null, y: place ? place.y : null,
    });
  }
}
