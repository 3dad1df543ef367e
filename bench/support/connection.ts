import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** An answer to a request. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Asked {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * A connection that is kept, with one request at a time. It does less for a request than clients for all purposes, so that a load from
 * the machine that is measured takes little of it. It reads answers that have a `content-length` or come in chunks.
 */
export class Connection implements Disposable {
  readonly #socket: Socket;
  #head: Head | undefined;
  #parts: Buffer[] = [];
  #length = 0;
  #asked: Asked | undefined;

  static async open(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (part) => this.#read(Buffer.from(part.buffer, part.byteOffset, part.byteLength)));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  /** @param bytes a whole request, as `requestBytes` makes it */
  ask(bytes: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      if (this.#socket.destroyed) this.#fail(new Error('the connection is closed'));
      else this.#socket.write(bytes);
    });
  }

  get isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #read(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
    this.#head ??= headOf(this.#parts.length === 1 ? part : Buffer.concat(this.#parts));
    if (this.#head === undefined) return;
    const { status, length, bodyLength } = this.#head;
    if (bodyLength === undefined ? !endsInChunk(part) : this.#length < length + bodyLength) return;
    const all = this.#parts.length === 1 ? part : Buffer.concat(this.#parts);
    const asked = this.#asked;
    this.#head = undefined;
    this.#parts = [];
    this.#length = 0;
    this.#asked = undefined;
    asked?.resolve({ status, text: all.toString('utf8', length) });
  }

  #fail(error: Error): void {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.reject(error);
  }
}

/** A request as bytes. @param body JSON; absent: a GET */
export function requestBytes(url: string, path: string, body?: string): Buffer {
  const start = `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n`;
  if (body === undefined) return Buffer.from(`${start}\r\n`);
  return Buffer.from(
    `${start}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

interface Head {
  readonly status: number;
  /** Its bytes, with the empty line. */
  readonly length: number;
  /** Undefined when it comes in chunks. */
  readonly bodyLength: number | undefined;
}

function headOf(bytes: Buffer): Head | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const text = bytes.toString('latin1', 0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  return {
    status: Number(text.slice(9, 12)),
    length: end + 4,
    bodyLength: length === undefined ? undefined : Number(length),
  };
}

function endsInChunk(part: Buffer): boolean {
  return part.length >= 5 && part.toString('latin1', part.length - 5) === '0\r\n\r\n';
}
