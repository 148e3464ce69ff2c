// Elements from data. Whatever devices send becomes text or an attribute's value here, never markup.

const SVG = 'http://www.w3.org/2000/svg';
/** What may be set as an attribute; anything else is a mistake in these pages. */
const LINK = /^[/#?](?!\/)/;

/**
 * An element: `h('a', {href: '/', class: 'x', on: {click}}, 'text', child)`.
 * `null`, `undefined` and `false` leave out an attribute or a child; `true` sets a bare attribute.
 */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === 'style') {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (value === null || value === undefined || value === false) {
      continue;
    } else {
      setAttribute(element, name, value === true ? '' : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets one attribute; handlers and links that leave this server are refused. */
export function setAttribute(element, name, value) {
  if (name.startsWith('on') || (name === 'href' && !LINK.test(value))) throw new Error(`attribute ${name} is not allowed`);
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Puts children in place of all that was there. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Changes a text only where it differs, so that selections and screen readers are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A name from outside: set apart, so that its writing direction can't disturb what stands around it. */
export function name(text) {
  return h('bdi', { class: 'name' }, text ?? '');
}

/** A section with its heading. */
export function section(heading, attributes, ...children) {
  const id = `s-${++sections}`;
  return h('section', { 'aria-labelledby': id, ...attributes }, h('h2', { id }, heading), ...children);
}
let sections = 0;

/** An id that no other element has, for labels. */
export function freshId(prefix) {
  return `${prefix}-${++sections}`;
}

/** The page's title, in the tab and as its one h1. */
export function title(text, ...more) {
  document.title = `${text} – Plenum`;
  return h('h1', null, ...(more.length ? more : [text]));
}
