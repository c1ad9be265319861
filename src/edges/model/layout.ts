import type { Model, Relation } from './model.ts';

/**
 * Places the boxes of a model in columns, each to the left of the boxes it refers to, so that all lines lead right;
 * within a column, each near the boxes it is connected with.
 */

export const ROW = 20;
const HEAD = 28;
const WIDTH = 220;
const GAP = { x: 90, y: 28 };

export interface Box {
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Line {
  relation: Relation;
  /** From the field to the referenced box, through gaps in the columns between them. */
  points: [x: number, y: number][];
}

export interface Layout {
  width: number;
  height: number;
  boxes: Map<string, Box>;
  lines: Line[];
}

/** An item of a column: a box, or a line that passes. */
interface Slot {
  key: string;
  height: number;
  /** The connected slots in the next column. */
  next: Slot[];
  y: number;
}

export function layoutOf({ entities, relations }: Model): Layout {
  const ranks = ranksOf(
    entities.map(({ name }) => name),
    relations,
  );
  const last = Math.max(0, ...ranks.values());
  const columns: Slot[][] = Array.from({ length: last + 1 }, () => []);
  const slots = new Map<string, Slot>();
  const put = (column: number, key: string, height: number): Slot => {
    const slot = { key, height, next: [], y: 0 };
    columns[column]?.push(slot);
    slots.set(key, slot);
    return slot;
  };
  for (const { name, fields } of entities)
    put(last - (ranks.get(name) ?? 0), name, HEAD + fields.length * ROW + 8);

  const passing = new Map<Relation, { column: number; slot: Slot }[]>();
  for (const relation of relations) {
    const [start, end] = [relation.from, relation.to].map((name) => last - (ranks.get(name) ?? 0)) as [
      number,
      number,
    ];
    const between = Array.from({ length: Math.max(0, end - start - 1) }, (_, i) => start + 1 + i);
    const way = between.map((column) => ({
      column,
      slot: put(column, `${relation.from}.${relation.field}@${column}`, ROW),
    }));
    passing.set(relation, way);
    const stops = [
      slots.get(relation.from),
      ...way.map(({ slot }) => slot),
      slots.get(relation.to),
    ] as Slot[];
    if (start < end) stops.slice(0, -1).forEach((stop, i) => stop.next.push(stops[i + 1] as Slot));
  }

  const height = stack(columns);
  const boxes = new Map(
    columns.flatMap((column, i) =>
      column
        .filter(({ key }) => ranks.has(key))
        .map(
          ({ key, y, height }) =>
            [key, { name: key, x: i * (WIDTH + GAP.x), y, width: WIDTH, height }] as const,
        ),
    ),
  );
  const lines = relations.map((relation): Line => {
    const [from, to] = [boxes.get(relation.from), boxes.get(relation.to)] as [Box, Box];
    const row =
      entities
        .find(({ name }) => name === relation.from)
        ?.fields.findIndex(({ name }) => name === relation.field) ?? 0;
    const way = (passing.get(relation) ?? []).flatMap(({ column, slot }): [number, number][] => {
      const x = column * (WIDTH + GAP.x);
      const y = slot.y + slot.height / 2;
      return [
        [x, y],
        [x + WIDTH, y],
      ];
    });
    const start: [number, number] = [from.x + from.width, from.y + HEAD + (row + 0.5) * ROW];
    // References to the same kind, or back, end at the right side too.
    return { relation, points: [start, ...way, [from.x < to.x ? to.x : to.x + to.width, to.y]] };
  });
  for (const { name, y } of boxes.values())
    spread(
      lines.filter(({ relation }) => relation.to === name),
      y,
    );
  return { width: columns.length * (WIDTH + GAP.x) - GAP.x, height, boxes, lines };
}

/** Spreads the ends of lines at the same box vertically, in the order of their origins. */
function spread(lines: Line[], top: number): void {
  const before = ({ points }: Line): number => points.at(-2)?.[1] ?? 0;
  lines
    .toSorted((one, other) => before(one) - before(other))
    .forEach(({ points }, i) => (points.at(-1) as [number, number]).splice(1, 1, top + HEAD / 2 + i * ROW));
}

/** The distance from boxes without references. Circular references are ignored where they close. */
function ranksOf(names: string[], relations: Relation[]): Map<string, number> {
  const ranks = new Map<string, number>();
  const visit = (name: string, around: string[]): number => {
    const known = ranks.get(name);
    if (known !== undefined) return known;
    const targets = relations.filter(({ from, to }) => from === name && to !== name && !around.includes(to));
    const rank = Math.max(0, ...targets.map(({ to }) => visit(to, [...around, name]) + 1));
    ranks.set(name, rank);
    return rank;
  };
  for (const name of names) visit(name, []);
  return ranks;
}

/** Orders each column by the mean position of the connected slots and sets heights, from right to left. */
function stack(columns: Slot[][]): number {
  const heightOf = (column: Slot[]) => column.reduce((sum, { height }) => sum + height + GAP.y, -GAP.y);
  const total = Math.max(0, ...columns.map(heightOf));
  for (const column of columns.toReversed()) {
    const middle = ({ next }: Slot): number =>
      next.length === 0 ? 0 : next.reduce((sum, { y, height }) => sum + y + height / 2, 0) / next.length;
    column.sort((one, other) => middle(one) - middle(other));
    let y = (total - heightOf(column)) / 2;
    for (const slot of column) {
      slot.y = y;
      y += slot.height + GAP.y;
    }
  }
  return total;
}
