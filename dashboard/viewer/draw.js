// Drawing one pane. Everything is drawn at the scale of the screen, so that an outline is as wide in a
// thumbnail as in a close-up. A patch is a piece of a frame: {image, labels, x0, y0, step}, where x0, y0
// is its corner in pixels of the movie, and step the pixels of the movie per pixel of the patch.

export function drawImage(context, patch, view) {
  const { k, x0, y0 } = view;
  context.imageSmoothingEnabled = k * patch.step < 2;
  context.drawImage(
    patch.image,
    (patch.x0 - x0) * k, (patch.y0 - y0) * k,
    patch.image.width * patch.step * k, patch.image.height * patch.step * k,
  );
}

// Which pixel of the patch each column (or row) of the canvas shows, `margin` more on both sides; -1: none.
function indices(count, size, origin, start, step, k, margin) {
  const found = new Int32Array(count + 2 * margin);
  for (let i = 0; i < found.length; i++) {
    const at = Math.floor((origin + (i - margin + 0.5) / k - start) / step);
    found[i] = at >= 0 && at < size ? at : -1;
  }
  return found;
}

// Paint labels into an RGBA buffer (Uint32, one per canvas pixel). `style` is {line, fill, selected, width, mode}:
// line and fill are colour tables by label.
export function paintLabels(buffer, width, height, patch, view, style) {
  const { pixels, width: labelWidth, height: labelHeight } = patch.labels;
  const { line, fill, selected, mode } = style;
  const thin = style.width;
  const thick = thin * 2;
  const columns = indices(width, labelWidth, view.x0, patch.x0, patch.step, view.k, thick);
  const rows = indices(height, labelHeight, view.y0, patch.y0, patch.step, view.k, thick);
  const clamp = (row) => (row < 0 ? 0 : row) * labelWidth;
  for (let j = 0; j < height; j++) {
    const row = rows[j + thick];
    if (row < 0) continue;
    const base = row * labelWidth;
    const above = clamp(rows[j + thick - thin]);
    const below = clamp(rows[j + thick + thin]);
    const farAbove = clamp(rows[j]);
    const farBelow = clamp(rows[j + 2 * thick]);
    const out = j * width;
    for (let i = 0; i < width; i++) {
      const column = columns[i + thick];
      if (column < 0) continue;
      const label = pixels[base + column];
      if (label === 0) continue;
      const chosen = label === selected;
      if (mode === "none" && !chosen) continue;
      const reach = chosen ? thick : thin;
      const left = columns[i + thick - reach];
      const right = columns[i + thick + reach];
      const edge =
        (left >= 0 && pixels[base + left] !== label) ||
        (right >= 0 && pixels[base + right] !== label) ||
        pixels[(chosen ? farAbove : above) + column] !== label ||
        pixels[(chosen ? farBelow : below) + column] !== label;
      if (edge) buffer[out + i] = line[label];
      else if (mode === "fill" || chosen) buffer[out + i] = fill[label];
    }
  }
}

export const QUIET = "#77828d"; // cells that are not spoken of

// Colour tables by label, as the canvas wants them (little-endian RGBA). `colourOf` gives #rrggbb.
export function colourTables(top, colourOf) {
  const line = new Uint32Array(top + 1);
  const fill = new Uint32Array(top + 1);
  for (let label = 1; label <= top; label++) setColour({ line, fill }, label, colourOf(label));
  return { line, fill };
}

function setColour({ line, fill }, label, colour) {
  const value = parseInt(colour.slice(1), 16);
  const swapped = ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16);
  line[label] = (0xff000000 | swapped) >>> 0;
  fill[label] = colour === QUIET ? 0 : (0x52000000 | swapped) >>> 0;
}

// The same tables with the colours that some cells have in this frame alone; `own`: [label, colour] each.
export function withColours(tables, own) {
  if (!own || !own.length) return tables;
  const changed = { line: tables.line.slice(), fill: tables.fill.slice() };
  for (const [label, colour] of own) if (label < changed.line.length) setColour(changed, label, colour);
  return changed;
}

const at = (cell, view) => [(cell.x - view.x0) * view.k, (cell.y - view.y0) * view.k];

// The way each cell came: its positions in the frames before, back into the mother.
export function drawTails(context, here, before, tracks, view, style) {
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const [label, cell] of here) {
    if (style.mode === "none" && label !== style.selected) continue;
    context.beginPath();
    context.moveTo(...at(cell, view));
    let current = label;
    for (const cells of before) {
      if (!cells) break;
      let past = cells.get(current);
      if (!past && tracks.parentOf.get(current)) {
        current = tracks.parentOf.get(current);
        past = cells.get(current);
      }
      if (!past) continue;
      context.lineTo(...at(past, view));
    }
    context.strokeStyle = tracks.colourOf.get(label) ?? "#ffffff";
    context.globalAlpha = label === style.selected ? 1 : 0.75;
    context.lineWidth = style.width * (label === style.selected ? 1.5 : 0.8);
    context.stroke();
  }
  context.globalAlpha = 1;
}

// A bar between sisters, in the frames just after their birth.
export function drawDivisions(context, here, number, tracks, view, style) {
  context.lineWidth = style.width;
  for (const [mother, daughters] of tracks.divisions) {
    const age = number - tracks.beginOf.get(daughters[0]);
    if (age < 0 || age > 3) continue;
    const present = daughters.map((daughter) => here.get(daughter)).filter(Boolean);
    if (present.length < 2) continue;
    const [first, second] = present.map((cell) => at(cell, view));
    context.globalAlpha = 1 - age / 5;
    context.strokeStyle = "#ffffff";
    context.setLineDash([style.width * 2, style.width * 2]);
    context.beginPath();
    context.moveTo(...first);
    context.lineTo(...second);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.arc((first[0] + second[0]) / 2, (first[1] + second[1]) / 2, style.width * 2.5, 0, 2 * Math.PI);
    context.fillStyle = tracks.colourOf.get(mother) ?? "#ffffff";
    context.fill();
    context.stroke();
  }
  context.globalAlpha = 1;
}

export function drawIds(context, here, view, style, ratio) {
  const size = Math.round(11 * ratio);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.fillStyle = "#ffffff";
  for (const [label, cell] of here) {
    const across = 2 * Math.sqrt(cell.area / Math.PI) * view.k;
    if (label !== style.selected && across < size * 1.6) continue; // no room for the number
    const [x, y] = at(cell, view);
    context.strokeText(label, x, y);
    context.fillText(label, x, y);
  }
}

// A ring where Python asks one to look; or the way from another place to this one.
export function drawMark(context, mark, view, ratio) {
  const [x, y] = at(mark, view);
  const strokes = [["rgba(0, 0, 0, 0.6)", 4 * ratio], [mark.colour || "#ffffff", 2 * ratio]];
  context.beginPath();
  if (mark.line) {
    context.moveTo(...at(mark.line, view));
    context.lineTo(x, y);
  } else {
    context.arc(x, y, (mark.colour ? 9 : 16) * ratio, 0, 2 * Math.PI);
  }
  for (const [colour, width] of strokes) {
    context.setLineDash(mark.dashed && colour === mark.colour ? [5 * ratio, 4 * ratio] : []);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
  context.setLineDash([]);
}

// What was drawn by hand.
export function drawStroke(context, points, view, ratio) {
  context.beginPath();
  for (const [y, x] of points) context.lineTo(...at({ x, y }, view));
  context.lineWidth = 4 * ratio;
  context.strokeStyle = "rgba(0, 0, 0, 0.6)";
  context.stroke();
  context.lineWidth = 2 * ratio;
  context.strokeStyle = "#ffffff";
  context.stroke();
}
