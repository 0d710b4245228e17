// What the parts of the page share: its elements, and what the browser remembers.

export const $ = (id) => document.getElementById(id);

// say is for those who hear the page.
export function say(text) {
  $("say").textContent = text;
}

export function busy(button, is) {
  // Not disabled, which would lose the focus.
  button.ariaDisabled = is ? "true" : null;
}

// put leaves text alone that is already there: an alert would be read again.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Storage may be full, blocked or somebody else's mess: the page works without.
export const memory = {
  read(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(`shopstream.${key}`)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  write(key, value) {
    try {
      localStorage.setItem(`shopstream.${key}`, JSON.stringify(value));
    } catch { /* then not */ }
  },
};
