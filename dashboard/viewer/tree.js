// The lineage tree: time to the right, a row per branch, dividing lineages first. Only the lineages in view are drawn,
// so that hundreds of thousands of cells scroll as smoothly as ten. It speaks with the viewer of the same page.

import { listen, tell } from "./bus.js";
import { loadTracks } from "./tracks.js";

const trees = new WeakMap();
const AXIS = 26; // pixels below the tree for the frames
const LEFT = 10;
const RIGHT = 14;
const REACH = 0.5; // rows beside a branch in which it is still meant

export function mount(component) {
  const root = component.parentElement.querySelector(".tree");
  let tree = trees.get(root);
  if (!tree) {
    tree = new Tree(root);
    trees.set(root, tree);
  }
  tree.update(component);
  return () => {
    tree.leave();
    trees.delete(root);
  };
}

// Lineages in the order of their rows: {low, high, members}; only those of one root, where one is given.
export function blocksOf(tracks, root) {
  const found = new Map();
  tracks.label.forEach((label, i) => {
    if (root && tracks.root[i] !== root) return;
    const row = tracks.row[i];
    let block = found.get(tracks.root[i]);
    if (!block) found.set(tracks.root[i], (block = { low: row, high: row, members: [] }));
    block.low = Math.min(block.low, row);
    block.high = Math.max(block.high, row);
    block.members.push({ label, row });
  });
  return [...found.values()].sort((a, b) => a.low - b.low);
}

class Tree {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.blocks = [];
    this.rowOf = new Map();
    this.pitch = 0; // pixels of a row; 0: not yet decided
    this.hovered = null;
    this.frame = 0;
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.part("scroll"));
    this.stops = [
      listen("frame", this, ({ frame, place }) => { if (place === this.data.place) this.setFrame(frame); }),
      listen("hover", this, ({ layer, label }) => { if (layer === this.data.layer) this.highlight(label); }),
      listen("select", this, ({ layer, label }) => { if (layer === this.data.layer) this.select(label); }),
    ];
    this.hands();
  }

  leave() {
    this.observer.disconnect();
    this.stops.forEach((stop) => stop());
  }

  update({ data, setTriggerValue }) {
    this.trigger = setTriggerValue;
    const before = this.data;
    this.data = data;
    this.part("scroll").style.height = data.height;
    if (data.revision !== this.revision) {
      this.revision = data.revision;
      this.frame = data.t;
      this.wanted = data.selected;
    }
    const address = data.api + data.tracks;
    if (!before || before.tracks !== data.tracks || before.root !== data.root) {
      loadTracks(address).then((tracks) => this.take(tracks), (error) => { this.part("told").textContent = error.message; });
    } else if (this.wanted !== undefined) this.select(this.wanted);
    this.wanted = undefined;
    this.draw();
  }

  take(tracks) {
    this.tracks = tracks;
    this.blocks = blocksOf(tracks, this.data.root);
    this.low = (this.blocks.length ? this.blocks[0].low : 0) - 0.4; // room for the number of the first branch
    const high = this.blocks.reduce((top, block) => Math.max(top, block.high), this.low);
    this.rows = high - this.low + 1;
    this.rowOf = new Map(this.blocks.flatMap((block) => block.members.map(({ label, row }) => [label, row - this.low])));
    this.doubts = new Map(); // label → [frame, colour] of its cells that are not sure
    for (const [frame, cells] of tracks.cells) {
      for (const [label, colour] of cells) {
        if (!this.doubts.has(label)) this.doubts.set(label, []);
        this.doubts.get(label).push([frame, colour]);
      }
    }
    const room = this.part("scroll").clientHeight - AXIS;
    this.pitch = this.pitch || Math.min(26, Math.max(14, Math.floor(room / Math.max(this.rows, 1))));
    this.select(this.data.selected);
  }

  setFrame(frame) {
    this.frame = frame;
    this.draw();
  }

  highlight(label) {
    if (label === this.hovered) return;
    this.hovered = label;
    this.draw();
  }

  // Show the branch of a track, where it is out of sight.
  select(label) {
    this.chosen = label;
    const row = this.rowOf.get(label);
    const scroll = this.part("scroll");
    if (row !== undefined) {
      const y = (row + 0.5) * this.pitch;
      const room = scroll.clientHeight - AXIS;
      if (y < scroll.scrollTop || y > scroll.scrollTop + room) {
        this.part("space").style.height = `${this.height() - scroll.clientHeight}px`; // before it is scrolled to
        scroll.scrollTop = y - room / 2;
      }
    }
    this.draw();
  }

  height() {
    return Math.max((this.rows || 0) * this.pitch + AXIS, this.part("scroll").clientHeight);
  }

  x(frame) {
    const [first, last] = this.data.span;
    return LEFT + ((frame - first) / Math.max(last - first, 1)) * (this.part("scroll").clientWidth - LEFT - RIGHT);
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      if (this.tracks && this.root.isConnected) this.drawNow();
    });
  }

  drawNow() {
    const scroll = this.part("scroll");
    const canvas = this.part("canvas");
    const [width, height] = [scroll.clientWidth, scroll.clientHeight];
    const ratio = window.devicePixelRatio || 1;
    this.part("space").style.height = `${Math.max(0, this.height() - height)}px`;
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    const style = getComputedStyle(this.root);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const paint = { ink: style.color, soft: "#8a97a3", font: style.fontFamily };
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, width, height - AXIS);
    pen.clip();
    const top = scroll.scrollTop / this.pitch + this.low;
    const bottom = top + (height - AXIS) / this.pitch;
    let drawn = 0;
    for (let i = this.firstBlock(top - 1); i < this.blocks.length && this.blocks[i].low <= bottom + 1; i++) {
      for (const { label, row } of this.blocks[i].members) drawn += this.drawTrack(pen, label, row, top, bottom, paint);
    }
    pen.restore();
    this.drawTime(pen, width, height, paint);
    this.root.dataset.drawn = String(drawn);
    this.root.dataset.pitch = String(this.pitch);
    this.root.dataset.track = this.chosen ? String(this.chosen) : "";
    this.root.dataset.hover = this.hovered ? String(this.hovered) : "";
    this.root.dataset.frame = String(this.frame);
  }

  // The first lineage that reaches below a row.
  firstBlock(row) {
    let [low, high] = [0, this.blocks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle].high < row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  drawTrack(pen, label, row, top, bottom, paint) {
    const { beginOf, endOf, parentOf, colourOf, children } = this.tracks;
    const y = (row - top + 0.5) * this.pitch;
    const [begin, end] = [beginOf.get(label), endOf.get(label)];
    const parent = parentOf.get(label);
    const x = this.x(begin);
    if (parent && this.rowOf.has(parent)) {
      const above = (this.rowOf.get(parent) + this.low - top + 0.5) * this.pitch;
      pen.strokeStyle = paint.soft;
      pen.lineWidth = 1.2;
      pen.beginPath();
      pen.moveTo(this.x(endOf.get(parent)), above);
      pen.lineTo(x, y);
      pen.stroke();
    }
    if (row < top - 1 || row > bottom + 1) return 0;
    const to = Math.max(this.x(end), x + 2);
    const thick = label === this.chosen ? 6 : label === this.hovered ? 5 : 3;
    if (label === this.chosen || label === this.hovered) {
      pen.strokeStyle = paint.ink;
      pen.lineWidth = thick + 3;
      this.line(pen, x, to, y);
    }
    pen.strokeStyle = colourOf.get(label);
    pen.lineWidth = thick;
    this.line(pen, x, to, y);
    for (const [frame, colour] of this.doubts.get(label) || []) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick + 2;
      this.line(pen, Math.max(this.x(frame - 1), frame === begin ? x - 4 : x), Math.max(this.x(frame), x + 2), y);
    }
    const divides = (children.get(label) || []).length > 1;
    if (divides) {
      pen.fillStyle = paint.ink;
      pen.beginPath();
      pen.arc(to, y, 2.5, 0, 2 * Math.PI);
      pen.fill();
    }
    this.drawName(pen, label, x, to, y, paint);
    return 1;
  }

  drawName(pen, label, x, to, y, paint) {
    const chosen = label === this.chosen || label === this.hovered;
    if (this.pitch < 14 && !chosen) return;
    pen.font = `${chosen ? 700 : 500} 10.5px ${paint.font}`;
    const text = String(label);
    if (pen.measureText(text).width > to - x + 12 && !chosen) return;
    pen.textAlign = "left";
    pen.textBaseline = "bottom";
    pen.fillStyle = paint.ink;
    pen.fillText(text, x + 2, y - (chosen ? 4 : 2));
  }

  line(pen, from, to, y) {
    pen.beginPath();
    pen.moveTo(from, y);
    pen.lineTo(to, y);
    pen.stroke();
  }

  // The axis of frames, and the frame that is shown as a line through the tree.
  drawTime(pen, width, height, paint) {
    const [first, last] = this.data.span;
    const floor = height - AXIS;
    pen.strokeStyle = paint.soft;
    pen.fillStyle = paint.ink;
    pen.lineWidth = 1;
    pen.font = `11px ${paint.font}`;
    pen.textBaseline = "top";
    this.line(pen, LEFT, width - RIGHT, floor + 0.5);
    const rough = (last - first) / Math.max(2, width / 90);
    const size = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough) || 1;
    const here = this.x(this.frame);
    for (let frame = Math.ceil(first / step) * step; frame <= last; frame += step) {
      const x = this.x(frame);
      if (Math.abs(x - here) < 26) continue; // the frame that is shown has its own number
      pen.textAlign = x > width - 24 ? "right" : x < 24 ? "left" : "center";
      pen.fillText(String(frame), x, floor + 6);
    }
    pen.setLineDash([4, 3]);
    pen.strokeStyle = paint.ink;
    pen.beginPath();
    pen.moveTo(here, 0);
    pen.lineTo(here, floor);
    pen.stroke();
    pen.setLineDash([]);
    pen.font = `700 11px ${paint.font}`;
    pen.textAlign = here > width - 40 ? "right" : here < 40 ? "left" : "center";
    pen.fillText(`frame ${this.frame}`, here, floor + 6);
  }

  // ---- hands ----

  // Branch and frame under the pointer; null between branches.
  under(event) {
    const scroll = this.part("scroll");
    const box = scroll.getBoundingClientRect();
    const row = (event.clientY - box.top - scroll.clientTop + scroll.scrollTop) / this.pitch - 0.5 + this.low;
    const x = event.clientX - box.left - scroll.clientLeft;
    const [first, last] = this.data.span;
    const at = first + ((x - LEFT) / (scroll.clientWidth - LEFT - RIGHT)) * Math.max(last - first, 1);
    const slack = (6 / (scroll.clientWidth - LEFT - RIGHT)) * Math.max(last - first, 1);
    let best = null;
    for (let i = this.firstBlock(row - REACH); i < this.blocks.length && this.blocks[i].low <= row + REACH; i++) {
      for (const member of this.blocks[i].members) {
        const away = Math.abs(member.row - row);
        const [begin, end] = [this.tracks.beginOf.get(member.label), this.tracks.endOf.get(member.label)];
        if (away > REACH || at < begin - slack || at > end + slack || (best && away >= best.away)) continue;
        best = { label: member.label, frame: Math.min(end, Math.max(begin, Math.round(at))), away };
      }
    }
    return best;
  }

  point(found) {
    const { layer, place } = this.data;
    const name = found ? `Track ${found.label}, frame ${found.frame}` : "";
    this.part("told").textContent = name;
    this.part("scroll").style.cursor = found ? "pointer" : "";
    this.highlight(found ? found.label : null);
    tell("hover", { from: this, layer, place, label: found ? found.label : null, frame: found ? found.frame : null });
  }

  pick(found) {
    const { layer, place } = this.data;
    this.chosen = found.label;
    this.setFrame(found.frame);
    this.part("status").textContent = `Track ${found.label} selected, frame ${found.frame}`;
    tell("select", { from: this, layer, place, label: found.label, frame: found.frame });
    this.trigger("pick", { layer, label: found.label, frame: found.frame });
  }

  hands() {
    const scroll = this.part("scroll");
    scroll.onscroll = () => { if (this.tracks) this.drawNow(); };
    scroll.onpointermove = (event) => { if (this.tracks) this.point(this.under(event)); };
    scroll.onpointerleave = () => { if (this.tracks) this.point(null); };
    scroll.onclick = (event) => {
      const found = this.tracks && this.under(event);
      if (found) this.pick(found);
    };
    this.part("closer").onclick = () => this.zoom(1.3);
    this.part("farther").onclick = () => this.zoom(1 / 1.3);
    scroll.onkeydown = (event) => this.key(event);
  }

  zoom(factor) {
    const scroll = this.part("scroll");
    const middle = (scroll.scrollTop + scroll.clientHeight / 2) / this.pitch;
    this.pitch = Math.min(48, Math.max(4, this.pitch * factor));
    this.part("space").style.height = `${Math.max(0, this.height() - scroll.clientHeight)}px`;
    scroll.scrollTop = middle * this.pitch - scroll.clientHeight / 2;
    this.draw();
  }

  // The branch above or below the chosen one, by the keys.
  key(event) {
    if (!this.tracks || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...this.rowOf].sort((a, b) => a[1] - b[1]).map(([label]) => label);
    const at = rows.indexOf(this.chosen);
    const go = (n) => {
      const label = rows[Math.min(rows.length - 1, Math.max(0, n))];
      const frame = Math.min(this.tracks.endOf.get(label), Math.max(this.tracks.beginOf.get(label), this.frame));
      this.select(label);
      this.pick({ label, frame });
    };
    const keys = {
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(Math.max(at, 1) - 1),
      "+": () => this.zoom(1.3),
      "-": () => this.zoom(1 / 1.3),
    };
    if (!keys[event.key] || !rows.length) return;
    event.preventDefault();
    keys[event.key]();
  }
}
