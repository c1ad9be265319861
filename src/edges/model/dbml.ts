import type { Entity, Model, Relation } from './model.ts';

/** The model as DBML, for dbdiagram.io and other tools (https://dbml.dbdiagram.io). */
export const dbmlOf = ({ entities, relations }: Model): string =>
  [...entities.map(tableOf), ...relations.map(refOf)].join('\n\n').concat('\n');

const tableOf = ({ name, description, fields }: Entity): string => {
  const columns = fields.map(({ name, type, nullable, unique }) => {
    const marks = [
      ...(name === 'id' ? ['pk'] : [nullable ? 'null' : 'not null']),
      ...(unique && name !== 'id' ? ['unique'] : []),
    ];
    return `  "${name}" "${type}" [${marks.join(', ')}]`;
  });
  return `Table "${name}" {\n${columns.join('\n')}\n  Note: '${description.replaceAll("'", "\\'")}'\n}`;
};

const refOf = ({ from, field, to, source, target, onRemoval }: Relation): string => {
  const sign = target === '*' ? '<>' : source === '*' ? '>' : '-';
  const action = { restrict: 'restrict', cascade: 'cascade', detach: 'set null' }[onRemoval];
  return `Ref: "${from}"."${field}" ${sign} "${to}"."id" [delete: ${action}]`;
};
