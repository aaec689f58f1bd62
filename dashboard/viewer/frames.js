// Fetching and keeping frames. A request that fails, or is not answered in time, is made again, each time after
// a longer pause: a busy server or a lost connection must not leave a viewer waiting for ever.
//
// A frame is kept decoded until more than `limit` bytes are held; what was
// not used for longest goes first. The store lives as long as the browser's page, not the component.

const PAUSES = [300, 1000, 3000]; // ms before each further attempt
const PATIENCE = 20000; // ms for one attempt

const wait = (time) => new Promise((done) => setTimeout(done, time));

// An answer of the server. What it refuses (an unknown frame, a broken file) is not asked again; the message says why.
export async function ask(address, read, { pauses = PAUSES, patience = PATIENCE } = {}) {
  for (let attempt = 0; ; attempt++) {
    const stop = new AbortController();
    const clock = setTimeout(() => stop.abort(), patience);
    try {
      const answer = await fetch(address, { signal: stop.signal });
      if (answer.ok) return await read(answer);
      const body = await answer.json().catch(() => ({}));
      const error = new Error((body.problems || [`The server answered ${answer.status}.`]).join(" "));
      error.final = answer.status < 500 && answer.status !== 429;
      throw error;
    } catch (error) {
      if (error.final) throw error;
      if (attempt === pauses.length) throw new Error(`The server does not answer. ${error.message}`);
    } finally {
      clearTimeout(clock);
    }
    await wait(pauses[attempt]);
  }
}

export class FrameStore {
  constructor(limit, patience = {}) {
    this.limit = limit;
    this.patience = patience;
    this.size = 0;
    this.kept = new Map(); // address → {value, bytes}, least recently used first
    this.coming = new Map(); // address → promise
    this.cells = new Map(); // address → positions of the cells; small, so kept longer
  }

  get(address) {
    const entry = this.kept.get(address);
    if (!entry) return undefined;
    this.kept.delete(address);
    this.kept.set(address, entry);
    return entry.value;
  }

  load(address, decode) {
    const there = this.get(address);
    if (there !== undefined) return Promise.resolve(there);
    let promise = this.coming.get(address);
    if (!promise) {
      promise = this.fetchOne(address, decode).finally(() => this.coming.delete(address));
      this.coming.set(address, promise);
    }
    return promise;
  }

  async fetchOne(address, decode) {
    const { value, bytes } = await ask(address, decode, this.patience);
    this.kept.set(address, { value, bytes });
    this.size += bytes;
    for (const [old, entry] of this.kept) {
      if (this.size <= this.limit || old === address) break;
      this.kept.delete(old);
      this.size -= entry.bytes; // not closed: a pane may still show it
    }
    if (value.cells) {
      this.cells.set(address, value.cells);
      if (this.cells.size > 4000) this.cells.delete(this.cells.keys().next().value);
    }
    return value;
  }
}

export async function decodeImage(answer) {
  const bitmap = await createImageBitmap(await answer.blob());
  return { value: bitmap, bytes: bitmap.width * bitmap.height * 4 };
}

// Labels come as three int32 (bytes per pixel, height, width) and the pixels.
export async function decodeLabels(answer, step) {
  const buffer = await answer.arrayBuffer();
  const [itemsize, height, width] = new Int32Array(buffer, 0, 3);
  const pixels = itemsize === 2 ? new Uint16Array(buffer, 12) : new Uint32Array(buffer, 12);
  const value = { pixels, height, width, cells: measureCells(pixels, width, step) };
  return { value, bytes: buffer.byteLength };
}

// label → {x, y, area}: centroids and areas in pixels of the movie, of which every `step`th is here.
export function measureCells(pixels, width, step) {
  const cells = new Map();
  let last = 0;
  let cell = null;
  for (let i = 0; i < pixels.length; i++) {
    const label = pixels[i];
    if (label === 0) continue;
    if (label !== last) {
      last = label;
      cell = cells.get(label);
      if (!cell) cells.set(label, (cell = { x: 0, y: 0, area: 0 }));
    }
    const y = (i / width) | 0;
    cell.x += i - y * width;
    cell.y += y;
    cell.area++;
  }
  for (const one of cells.values()) {
    one.x = (one.x / one.area + 0.5) * step;
    one.y = (one.y / one.area + 0.5) * step;
    one.area *= step * step;
  }
  return cells;
}
