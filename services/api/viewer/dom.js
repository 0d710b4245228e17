// The few helpers that building the page takes. Content only ever becomes text
// nodes: there is no way from here to markup, whatever a record holds.

export const byId = (id) => document.getElementById(id);

/** el makes an element. Properties are set as properties; "class", "role",
 * "aria-*" and "data-*" as attributes; "on" holds listeners. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === 'class' || name === 'role' || name.includes('-')) {
      node.setAttribute(name, value);
    } else {
      node[name] = value;
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** svg makes an SVG element from attributes. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** setText avoids touching the document when nothing changed, so that live
 * regions stay quiet and selections stay put. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** remember reads and keeps a preference; a browser that forbids storage just
 * forgets it. */
export const remember = {
  get(name) {
    try {
      return localStorage.getItem(`shopstream.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(`shopstream.${name}`);
      else localStorage.setItem(`shopstream.${name}`, value);
    } catch {
      // Nothing to do: the setting applies to this page only.
    }
  },
};

/** save hands text to the browser as a file to keep. */
export function save(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el('a', { href: url, download: name }).click();
  // The browser reads the text after the click, when it is ready to.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

let toastTimer;

/** toast says something that needs no answer. */
export function toast(text) {
  const node = byId('toast');
  node.textContent = text;
  node.classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => node.classList.remove('on'), 2500);
}

/** copy puts text on the clipboard. The clipboard API exists on HTTPS and on
 * localhost only; over plain HTTP the old command still works. */
export async function copy(text, what) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      const area = el('textarea', { value: text, class: 'visually-hidden' });
      const focused = document.activeElement;
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      focused?.focus();
      if (!done) throw new Error('the browser refused');
    }
    toast(`Copied ${what}`);
  } catch {
    toast(`Could not copy ${what}: the browser did not allow it`);
  }
}
