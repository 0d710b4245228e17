// The button that chooses between the light theme, the dark one and the system's.

import { remember, svg } from './dom.js';

const themes = ['system', 'light', 'dark'];
const icons = {
  system: ['M4 5h16v11H4z', 'M9 20h6', 'M12 16v4'],
  light: ['M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8', 'M12 2v2', 'M12 20v2', 'M2 12h2', 'M20 12h2', 'M5 5l1.4 1.4', 'M17.6 17.6l1.4 1.4', 'M5 19l1.4-1.4', 'M17.6 6.4l1.4-1.4'],
  dark: ['M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z'],
};

const chosen = () => document.documentElement.dataset.theme ?? 'system';

function draw(button) {
  const theme = chosen();
  const name = theme === 'system' ? 'as the system' : theme;
  button.setAttribute('aria-label', `Theme: ${name}`);
  button.title = `Theme: ${name}`;
  button.firstElementChild.replaceChildren(...icons[theme].map((d) => svg('path', { d })));
}

/** startThemeButton makes a button go through the themes. */
export function startThemeButton(button) {
  button.addEventListener('click', () => {
    const theme = themes[(themes.indexOf(chosen()) + 1) % themes.length];
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    remember.set('theme', theme === 'system' ? null : theme);
    draw(button);
  });
  draw(button);
  button.hidden = false;
}
