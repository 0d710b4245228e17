// Runs before the first paint, so that a chosen theme never flashes the other.
// A classic script on purpose: modules wait for the document.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('shopstream.theme');
  } catch {
    // Storage may be forbidden: then the system's theme holds.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
