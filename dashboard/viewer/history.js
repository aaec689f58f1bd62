// The browser's way back leads to the page before: what only changes the view of a page does not become an entry of its own.
const push = history.pushState;

export function mount() {
  history.pushState = function (state, title, url) {
    const target = new URL(url ?? location.href, location.href);
    const way = target.pathname === location.pathname ? history.replaceState : push;
    return way.call(history, state, title, url);
  };
  return () => {};
}
