import { MalformedRequest, Stopping } from "./errors.ts";
import type { DurableLog } from "./log/durable-log.ts";
import type { RequestDigest } from "./log/request-digest.ts";
import type { Retries } from "./log/retries.ts";
import { WrongShape } from "./otlp/json.ts";
import { type Encoding, exportReply, type Signal } from "./otlp/reply.ts";
import { MalformedBody } from "./otlp/wire.ts";
import type { Telemetry } from "./plugins/telemetry.ts";
import type { Decoded, Decoder } from "./rows/decoder.ts";
import type { Sources, Visit } from "./security/sources.ts";
import { Turns } from "./security/turns.ts";
import { YoungCollection } from "./young-collection.ts";

const MS_PER_S = 1000;

export interface ReceiverOptions {
  readonly log: DurableLog;
  readonly digest: RequestDigest;
  readonly decoder: Decoder;
  readonly retries: Retries;
  readonly telemetry: Telemetry;
  readonly sources: Sources;
  readonly stopping: () => boolean;
}

/** One OTLP request, however it came. */
export interface Arrival {
  /** What `admit` returned for it. */
  readonly visit: Visit;
  readonly signal: Signal;
  readonly encoding: Encoding;
  /** Decompressed. */
  readonly body: Buffer;
  /** Length of the body as it was sent. */
  readonly sentBytes: number;
  /** Is given a function for the transport to call when the sender has gone without the reply. */
  readonly onUndelivered: (undelivered: () => void) => void;
}

/** What HTTP and gRPC share: who may send, and the way of a body from its bytes to its reply after it is on disk. */
export class Receiver {
  private readonly options: ReceiverOptions;
  private readonly turns = new Turns();
  private readonly young = new YoungCollection();

  constructor(options: ReceiverOptions) {
    this.options = options;
  }

  /**
   * To be asked before the body is read; the transport tells the visit what arrives and that it ended. `authorization` is
   * the header of that name or its gRPC metadata. Throws Unauthorized, RateLimited or Stopping.
   */
  admit(authorization: string | undefined): Visit {
    const { sources, stopping, telemetry } = this.options;
    let visit: Visit;
    try {
      visit = sources.admit(authorization);
    } catch (error) {
      telemetry.refused(error);
      throw error;
    }
    if (!stopping()) return visit;
    visit.end();
    throw new Stopping();
  }

  /** The body of the success reply, once the data is durable. Throws MalformedRequest, LogFull or LogUnwritable. */
  async receive(arrival: Arrival): Promise<Buffer> {
    const { telemetry, retries } = this.options;
    const { signal, encoding, body, visit } = arrival;
    const started = performance.now();
    telemetry.receivedBytes.inc({ signal }, arrival.sentBytes);
    telemetry.visited(visit.source, arrival.sentBytes);
    this.young.allocated(arrival.sentBytes);
    const digest = this.options.digest.of(signal, body);
    const key = digest.toString("hex");
    const repeated = retries.replyTo(key);
    const answered = repeated && (await repeated);
    if (answered !== undefined) {
      telemetry.repeated.inc();
      // After a restart the first reply is not known any more, only that it was a success.
      return answered.length > 0 ? answered : exportReply(signal, encoding, 0, "");
    }
    const stored = this.store(arrival, digest);
    retries.begin(key, stored);
    arrival.onUndelivered(() => retries.remember(key, stored));
    const answer = await stored;
    telemetry.acknowledgeSeconds.observe((performance.now() - started) / MS_PER_S);
    return answer;
  }

  private async store({ visit, signal, encoding, body, sentBytes }: Arrival, digest: Buffer): Promise<Buffer> {
    const { log, telemetry } = this.options;
    const decoded = await this.turns.run(visit.source, () => this.decode(visit, signal, encoding, body));
    if (decoded.blocks.length > 0) {
      for (const { bytes } of decoded.blocks) this.young.allocated(bytes.length);
      try {
        await log.append(digest, decoded.blocks);
      } catch (error) {
        decoded.undo();
        throw error;
      }
    }
    for (const [reason, count] of decoded.rejectedBy) telemetry.reject(signal, reason, count);
    for (const [reason, count] of decoded.scrubbedBy) telemetry.scrubbed.inc({ signal, reason }, count);
    for (const each of decoded.overflow) telemetry.overflowed(each);
    telemetry.received(signal, sentBytes, decoded.sources);
    return exportReply(signal, encoding, decoded.rejected, decoded.message);
  }

  private decode(visit: Visit, signal: Signal, encoding: Encoding, body: Buffer): Decoded {
    try {
      return this.options.decoder.decode(signal, encoding, body, visit.checkService);
    } catch (error) {
      if (error instanceof MalformedBody || error instanceof SyntaxError || error instanceof WrongShape) {
        throw new MalformedRequest(error.message);
      }
      throw error;
    }
  }
}
