import type { Context } from 'koa';

/** Where the time of a request goes, for Server-Timing and traces. By performance.now(), in milliseconds. */
export interface Stage {
  /** Reading and checking the input; identifying the caller; limits, and waiting for a place; the transaction. */
  name: 'parse' | 'caller' | 'plan' | 'write';
  start: number;
  end: number;
}

export const stagesOf = (ctx: Context): Stage[] => (ctx.state['stages'] ??= []) as Stage[];

/** Starts a stage; the function that it returns ends it. */
export function begin(ctx: Context, name: Stage['name']): () => void {
  const start = performance.now();
  return () => void stagesOf(ctx).push({ name, start, end: performance.now() });
}
