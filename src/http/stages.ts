import type { Context } from 'koa';

/** Where the time of a request goes: Server-Timing and traces tell it. By performance.now(), in milliseconds. */
export interface Stage {
  /** Reading and checking the input; finding the caller; limits, and waiting for a turn; the transaction. */
  name: 'parse' | 'caller' | 'plan' | 'write';
  start: number;
  end: number;
}

export const stagesOf = (ctx: Context): Stage[] => (ctx.state['stages'] ??= []) as Stage[];

/** A stage begins; the function that this returns ends it. */
export function begin(ctx: Context, name: Stage['name']): () => void {
  const start = performance.now();
  return () => void stagesOf(ctx).push({ name, start, end: performance.now() });
}
