import { escapeHtml } from '../../http/page.ts';
import { type Box, layoutOf, type Line, ROW } from './layout.ts';
import type { Entity, Model } from './model.ts';

/** The diagram of a model as SVG. Its colours are classes: see STYLE. */
export function svgOf(model: Model, { style = '' } = {}): string {
  const { width, height, boxes, lines } = layoutOf(model);
  const margin = 16;
  const view = [-margin, -margin, width + 5 * margin, height + 2 * margin].map(Math.round);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${view.join(' ')}" width="${view[2]}" height="${view[3]}" role="img" aria-label="The model: ${model.entities.map(({ name }) => name).join(', ')}" class="model">
${style && `<style>${style}</style>`}
${lines.map(lineOf).join('\n')}
${model.entities.map((entity) => boxOf(entity, boxes.get(entity.name) as Box)).join('\n')}
</svg>`;
}

function boxOf({ name, description, fields }: Entity, { x, y, width, height }: Box): string {
  const rows = fields.map(({ name, type, nullable, unique, refersTo }, i) => {
    const at = `y="${28 + (i + 0.5) * ROW + 4}"`;
    const marks = `${nullable ? '?' : ''}${unique ? ' •' : ''}`;
    return `<text x="10" ${at}${refersTo ? ' class="reference"' : ''}>${escapeHtml(name)}</text><text x="${width - 10}" ${at} class="type">${escapeHtml(refersTo ? type.replace('id', refersTo) : type)}${marks}</text>`;
  });
  return `<g transform="translate(${x} ${y})"><title>${escapeHtml(description)}</title>
<rect width="${width}" height="${height}" rx="6"/><path d="M0 28H${width}"/><text x="10" y="19" class="name">${escapeHtml(name)}</text>
${rows.join('\n')}</g>`;
}

function lineOf({ relation, points }: Line): string {
  const { from, field, to, source, target, onRemoval } = relation;
  const [[x, y], ...others] = points as [[number, number], ...[number, number][]];
  const [endX, endY] = points.at(-1) as [number, number];
  const isBack = endX <= x;
  const path = others.map(([toX, toY], i) => {
    const [fromX, fromY] = points[i] as [number, number];
    if (fromY === toY) return `H${toX}`;
    const bend = isBack ? 40 : (toX - fromX) / 2;
    return `C${fromX + bend} ${fromY} ${isBack ? toX + bend : toX - bend} ${toY} ${toX} ${toY}`;
  });
  return `<g class="relation"><title>${escapeHtml(`${from}.${field} refers to ${to}; when that is removed: ${onRemoval}`)}</title>
<path d="M${x} ${y}${path.join('')}"/><circle cx="${x}" cy="${y}" r="3"/><path d="M${endX} ${endY}l${isBack ? '8 -4v8z' : '-8 -4v8z'}" class="head"/>
<text x="${x + 6}" y="${y - 5}">${source}</text><text x="${endX + (isBack ? 12 : -12)}" y="${endY - 6}" class="${isBack ? '' : 'end'}">${target}</text></g>`;
}

export const STYLE = `
.model { --ink: #22303c; --soft: #66788a; --paper: #fff; --head: #3b7dd8; font: 13px system-ui, sans-serif; max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { .model { --ink: #e4e9ee; --soft: #93a4b4; --paper: #22282c; --head: #7fb1f2; } }
.model text { fill: var(--ink); }
.model rect { fill: var(--paper); stroke: var(--soft); }
.model path { fill: none; stroke: var(--soft); }
.model .name { font-weight: 600; font-size: 14px; }
.model .type { fill: var(--soft); text-anchor: end; }
.model .reference { fill: var(--head); }
.model .relation path { stroke: var(--head); stroke-width: 1.3; }
.model .relation .head, .model circle { fill: var(--head); stroke: none; }
.model .relation text { fill: var(--head); font-size: 12px; }
.model .end { text-anchor: end; }
`;
