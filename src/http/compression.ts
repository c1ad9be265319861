import { pipeline, type Readable } from 'node:stream';
import { promisify } from 'node:util';
import {
  brotliCompress,
  constants,
  createBrotliCompress,
  createGzip,
  gzip,
  type BrotliOptions,
} from 'node:zlib';
import type { Context, Middleware } from 'koa';

/** Compresses answers with br or gzip for clients that accept them. */

/** Shorter bodies fit into one packet anyway. */
const LEAST = 1_024;
const COMPRESSIBLE = /^(text\/(?!event-stream)|application\/(\w+\+)?(json|javascript|x-ndjson)|image\/svg)/;

const BROTLI: BrotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const CODINGS = {
  br: {
    whole: (body: Buffer) => promisify(brotliCompress)(body, BROTLI) as Promise<Buffer>,
    stream: () => createBrotliCompress(BROTLI),
  },
  gzip: { whole: (body: Buffer) => promisify(gzip)(body) as Promise<Buffer>, stream: () => createGzip() },
};
type Coding = keyof typeof CODINGS;

/** Static files are compressed once and kept. */
const files = new WeakMap<Buffer, Map<Coding, Promise<Buffer>>>();

/**
 * Answers with `no-store` are never compressed: their length would leak information about the secrets in them. A
 * compressed answer has its own entity tag, with the coding as its suffix (RFC 9110, section 8.8.3.3).
 */
export const compression: Middleware = async (ctx, next) => {
  await next();
  if (headerOf(ctx, 'Cache-Control').includes('no-store')) return;
  if (ctx.status === 304) return keepTag(ctx);
  const type = headerOf(ctx, 'Content-Type');
  if (!COMPRESSIBLE.test(type)) return;
  const coding = codingFor(ctx.get('Accept-Encoding'));
  const body = ctx.body as string | Buffer | Readable | null;
  if (!coding || !body) return;
  if (typeof body === 'string' || Buffer.isBuffer(body)) {
    if (Buffer.byteLength(body) < LEAST) return;
    ctx.body = await compress(body, coding);
  } else {
    // Forwards an error of the source, so that Koa sees it on the compressed stream.
    ctx.body = pipeline(body, CODINGS[coding].stream(), () => {});
  }
  ctx.set({ 'Content-Type': type, 'Content-Encoding': coding });
  const etag = headerOf(ctx, 'ETag');
  if (etag.startsWith('"')) ctx.set('ETag', etag.replace(/"$/, `-${coding}"`));
};

/** Koa's own `get` is typed as if every header were set. */
const headerOf = ({ res }: Context, name: string): string => String(res.getHeader(name) ?? '');

const compress = (body: string | Buffer, coding: Coding): Promise<Buffer> => {
  const { whole } = CODINGS[coding];
  if (typeof body === 'string') return whole(Buffer.from(body));
  const made = files.get(body) ?? new Map<Coding, Promise<Buffer>>();
  files.set(body, made);
  const compressed = made.get(coding) ?? whole(body);
  made.set(coding, compressed);
  return compressed;
};

/** A 304 carries the tag that the client knows, that of the compressed answer if it has that one. */
function keepTag(ctx: Context): void {
  const etag = headerOf(ctx, 'ETag').replace(/"$/, '');
  const known = ctx.get('If-None-Match');
  for (const coding of Object.keys(CODINGS))
    if (etag.startsWith('"') && known.includes(`${etag}-${coding}"`)) ctx.set('ETag', `${etag}-${coding}"`);
}

/** The coding that the client prefers; br if it has no preference. */
function codingFor(header: string): Coding | undefined {
  const weights = new Map(
    header
      .toLowerCase()
      .split(',')
      .map((part) => {
        const [name = '', weight = '1'] = part.split(/\s*;\s*q\s*=\s*/);
        return [name.trim(), Number(weight)];
      }),
  );
  const weightOf = (coding: Coding) => weights.get(coding) ?? weights.get('*') ?? 0;
  const [br, zip] = [weightOf('br'), weightOf('gzip')];
  if (br > 0 && br >= zip) return 'br';
  return zip > 0 ? 'gzip' : undefined;
}
