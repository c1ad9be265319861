/** Addresses of clients, which an API that trusts one proxy believes. */

let clients = 0;
/** Another one each time, so that no test meets the limits of another. */
export const anAddress = (): string => `203.0.${++clients >> 8}.${clients & 255}`;
export const from = (address: string) => ({ 'x-forwarded-for': address });
