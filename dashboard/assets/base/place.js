// The page's address: what is filtered stands in its query, so that a view can be shared and the way back works.

/** The query as an object of texts. */
export function query() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** The address with a changed query: empty values are left out. */
export function withQuery(changes, pathname = location.pathname) {
  const parameters = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') parameters.delete(key);
    else parameters.set(key, value);
  }
  const text = parameters.toString();
  return pathname + (text ? `?${text}` : '');
}

/** Changes the query without a new page; a new step in the history only where `step` says so. */
export function setQuery(changes, step = false) {
  const address = withQuery(changes);
  if (address === location.pathname + location.search) return;
  history[step ? 'pushState' : 'replaceState'](null, '', address);
  shown = location.search;
}

/** What the page shows. */
let shown = location.search;

// The way back and forth between steps of a page loads it anew; a jump within it (the skip link) does not.
window.addEventListener('popstate', () => {
  if (location.search !== shown) location.reload();
});

/** A device's page. */
export function deviceHref(id, parameters) {
  return `/devices/${encodeURIComponent(id)}${tail(parameters)}`;
}

/** An incident's page. */
export function incidentHref(id) {
  return `/incidents/${encodeURIComponent(id)}`;
}

/** Any page of ours with a query. */
export function href(pathname, parameters) {
  return pathname + tail(parameters);
}

function tail(parameters) {
  const text = new URLSearchParams(parameters ?? {}).toString();
  return text ? `?${text}` : '';
}
