// The table of tracks that viewer and tree share: fetched once, looked up by label.

import { ask } from "./frames.js";

const tables = new Map(); // address → promise of a table
export const NO_TRACKS = readTracks({ label: [], begin: [], end: [], parent: [], colour: [] });

export function readTracks(table) {
  const tracks = {
    label: table.label, row: table.row || [], root: table.root || [],
    colourOf: new Map(), parentOf: new Map(), beginOf: new Map(), endOf: new Map(), children: new Map(),
    top: 0, divisions: [], cells: new Map(),
  };
  for (const [frame, label, colour] of table.cells || []) {
    if (!tracks.cells.has(frame)) tracks.cells.set(frame, []);
    tracks.cells.get(frame).push([label, colour]);
  }
  table.label.forEach((label, i) => {
    tracks.colourOf.set(label, table.colour[i]);
    tracks.parentOf.set(label, table.parent[i]);
    tracks.beginOf.set(label, table.begin[i]);
    tracks.endOf.set(label, table.end[i]);
    tracks.top = Math.max(tracks.top, label);
    if (table.parent[i]) {
      const sisters = tracks.children.get(table.parent[i]);
      if (sisters) sisters.push(label);
      else tracks.children.set(table.parent[i], [label]);
    }
  });
  tracks.divisions = [...tracks.children].filter(([, daughters]) => daughters.length > 1);
  return tracks;
}

export function loadTracks(address) {
  if (!tables.has(address)) {
    const table = ask(address, (answer) => answer.json()).then(readTracks);
    tables.set(address, table);
    table.catch(() => tables.delete(address)); // asked for again the next time
  }
  return tables.get(address);
}
