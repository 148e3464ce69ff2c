// Maintenance: what is announced, and a form for more.

import { get } from '../base/api.js';
import { h, name, put, section, title } from '../base/dom.js';
import { duration, time } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { deviceHref, href, query } from '../base/place.js';
import { table } from '../base/table.js';
import { maintenanceForm } from './maintenance_form.js';

export function start(main) {
  const asked = query();
  const list = h('div');
  const kept = keep(
    async (signal) => {
      const { windows } = await get(['maintenance'], null, signal);
      put(
        list,
        table(
          'Announced maintenance',
          [
            { label: 'On', head: true, cell: whom },
            { label: 'From', cell: (one) => time(one.from_ms) },
            { label: 'To', cell: (one) => time(one.to_ms) },
            { label: 'Lasts', numeric: true, cell: (one) => duration(one.to_ms - one.from_ms) },
            { label: 'What is done', cell: (one) => name(one.note || '–') },
            { label: 'Status', cell: (one) => one.status },
          ],
          windows,
          { quiet: true, empty: 'Nothing is announced. Use the form above before somebody works on a device, so that no incident opens.' },
        ),
      );
    },
    (error) => trouble(list, error),
  );
  put(
    main,
    title('Maintenance'),
    section('Plan maintenance', null, maintenanceForm({ device: asked.device, building: asked.building, done: kept.now })),
    section('Announced', null, list),
  );
}

function whom(one) {
  if (one.device_id) return h('a', { href: deviceHref(one.device_id) }, name(one.device_id));
  return ['building ', h('a', { href: href('/', { building: one.building_id }) }, name(one.building_id))];
}
