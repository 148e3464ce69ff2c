// Numbers, times and spans as people read them: numbers with the digits that say something, times in the viewer's zone with
// UTC on hover, nothing that is unknown shown as 0.

import { h } from './dom.js';

/** What stands for an unknown number. */
export const NOTHING = '–';

const formats = new Map();

/** Digits behind the point that suit a number's size. */
export function decimals(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(size) || size >= 1000) return 0;
  if (size >= 100) return 1;
  return size >= 1 || size === 0 ? 2 : 3;
}

/** Digits for a column: those of its largest number, so that the points line up. */
export function decimalsOf(values) {
  const known = values.filter((value) => Number.isFinite(value));
  return known.every(Number.isInteger) ? 0 : decimals(Math.max(...known.map(Math.abs)));
}

/** A number; `digits` behind the point where a column shares them. */
export function number(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (digits === undefined && Number.isInteger(value)) digits = 0;
  digits ??= decimals(value);
  if (Math.abs(value) >= 1e12) return value.toExponential(3);
  if (!formats.has(digits)) {
    formats.set(digits, new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return formats.get(digits).format(value);
}

/** A number with its unit; a switch in words. */
export function quantity(value, unit, digits) {
  if (unit === '0/1' && (value === 0 || value === 1)) return value ? 'on' : 'off';
  const text = number(value, digits);
  return text === NOTHING || !unit || unit === '0/1' ? text : `${text} ${unit}`;
}

/** A share from 0 to 1 as a percentage. */
export function percent(share, digits = 0) {
  return share === null || share === undefined ? NOTHING : `${number(share * 100, digits)} %`;
}

/** Many bytes. */
export function bytes(count) {
  if (count === null || count === undefined) return NOTHING;
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${number(count / 1e3, 1)} kB` : count < 1e9 ? `${number(count / 1e6, 1)} MB` : `${number(count / 1e9, 1)} GB`;
}

/** A span in its two largest units: `12 s`, `54 min`, `2 h 01 min`, `3 d 4 h`. */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NOTHING;
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 10 && ms % 1000) return `${(ms / 1000).toFixed(1)} s`;
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${number(Math.floor(hours / 24))} d ${hours % 24} h`;
}

const two = (part) => String(part).padStart(2, '0');

/** The day in the viewer's zone: `2026-03-02`. */
export function dayText(ms) {
  const date = new Date(ms);
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Hours and minutes in the viewer's zone, with seconds where they matter. */
export function clockText(ms, seconds = false) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ''}`;
}

/** Day and time in the viewer's zone. */
export function timeText(ms, seconds = false) {
  if (!isTime(ms)) return NOTHING;
  return `${dayText(ms)} ${clockText(ms, seconds)}`;
}

/** The same moment in UTC, for the hover. */
export function utcText(ms) {
  return isTime(ms)
    ? `${new Date(ms)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, '')} UTC`
    : '';
}

/** Whether a number is a moment that a Date can hold. */
export function isTime(ms) {
  return typeof ms === 'number' && Math.abs(ms) <= 8.64e15;
}

/** A moment as an element: the viewer's time, UTC on hover. */
export function time(ms, seconds = false) {
  if (!isTime(ms)) return h('span', null, NOTHING);
  return h('time', { datetime: new Date(ms).toISOString(), title: utcText(ms) }, timeText(ms, seconds));
}

/** How long ago something was, as of a moment. */
export function ago(ms, asOfMs) {
  if (!isTime(ms)) return 'never';
  const age = asOfMs - ms;
  return age < 1500 && age > -5000 ? 'now' : age < 0 ? `${duration(-age)} ahead` : `${duration(age - (age % 1000))} ago`;
}

/** For `<input type="datetime-local">`, in the viewer's zone. */
export function toInput(ms) {
  return `${dayText(ms)}T${clockText(ms)}`;
}

/** What such an input holds; `null` where it is empty or no time. */
export function fromInput(text) {
  const ms = new Date(text).getTime();
  return Number.isFinite(ms) ? ms : null;
}

/** `1 device`, `2 devices`. */
export function counted(count, noun, plural = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : plural}`;
}
