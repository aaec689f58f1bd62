// What viewer and tree tell each other inside one page, without the server: `frame`, `hover` and `select`.
// The sender is named, so that nobody hears himself.

const target = new EventTarget();

export function tell(kind, detail) {
  target.dispatchEvent(new CustomEvent(kind, { detail }));
}

// Calls `act` with what others tell; gives the function that stops it.
export function listen(kind, self, act) {
  const hear = ({ detail }) => { if (detail.from !== self) act(detail); };
  target.addEventListener(kind, hear);
  return () => target.removeEventListener(kind, hear);
}
