// Light or dark, before anything is painted: a classic script in the head, so that no page flashes in the other colours.
// The choice is kept in localStorage ("plenum-theme"); nothing kept means as the system has it.
(() => {
  const known = ['light', 'dark'];
  const read = () => {
    try {
      return localStorage.getItem('plenum-theme');
    } catch {
      return null; // storage is forbidden: the system's colours then
    }
  };
  const apply = (choice) => {
    if (known.includes(choice)) document.documentElement.dataset.theme = choice;
    else delete document.documentElement.dataset.theme;
  };
  apply(read());
  document.addEventListener('DOMContentLoaded', () => {
    const select = document.getElementById('theme');
    select.value = document.documentElement.dataset.theme ?? 'system';
    const changed = () => document.dispatchEvent(new Event('plenum-theme'));
    select.addEventListener('change', () => {
      apply(select.value);
      try {
        localStorage.setItem('plenum-theme', select.value);
      } catch {
        // It holds for this page then.
      }
      changed();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  });
})();
