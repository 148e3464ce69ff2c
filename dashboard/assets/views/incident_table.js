// Incidents as a table, wherever they are listed.

import { h, name } from '../base/dom.js';
import { duration, time } from '../base/format.js';
import { deviceHref, incidentHref } from '../base/place.js';
import { table } from '../base/table.js';
import { badge, kindText, methodText, resolutionText } from '../base/words.js';

/** @param {{device?: boolean, caption: string, empty: string|Node}} options `device`: with a column of devices */
export function incidentTable(incidents, { device = true, caption, empty }) {
  const columns = [
    { label: 'Severity', cell: (one) => badge(one.severity) },
    { label: 'What', head: true, cell: (one) => h('a', { href: incidentHref(one.id) }, kindText(one.kind)) },
    device && {
      label: 'Device',
      cell: (one) => [
        h('a', { href: deviceHref(one.device_id) }, name(one.device_id)),
        one.building_id && h('div', { class: 'hint' }, name(one.building_id)),
      ],
    },
    { label: 'From', cell: (one) => time(one.started_at_ms) },
    { label: 'Lasted', numeric: true, cell: lasted },
    { label: 'Why', wide: true, cell: (one) => h('bdi', null, one.summary) },
    { label: 'Methods', cell: (one) => one.methods.map(methodText).join(', ') },
    { label: 'People said', cell: said },
  ];
  return table(caption, columns.filter(Boolean), incidents, { quiet: true, stack: true, empty });
}

function lasted(incident) {
  const span = duration(incident.duration_ms);
  return incident.status === 'open' ? `${span}, open` : span;
}

/** What people said of it, or have asked for. */
export function said(incident) {
  if (incident.asked) return `${resolutionText(incident.asked.as)} (asked for)`;
  return incident.resolution ? resolutionText(incident.resolution) : '–';
}
