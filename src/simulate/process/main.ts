import { AV_LOG_FATAL } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { describeError } from '../../core/errors.ts';
import { openServerLink } from '../../core/process/helper-child.ts';
import { encodeFromMaker, parseToMaker, type ToMaker } from '../protocol.ts';
import { type Outlet, Session } from './session.ts';

/** The picture maker: draws and encodes what the simulated cameras show, for streams that are being watched only. */
Log.setLevel(AV_LOG_FATAL);

const sessions = new Map<number, Session>();
const link = openServerLink((message) => obey(parseToMaker(message)));
const outlet: Outlet = {
  send: (message) => {
    const { header, payload } = encodeFromMaker(message);
    link.send(header, payload);
  },
  waitingBytes: () => link.waitingBytes(),
};

function obey(order: ToMaker): void {
  const session = sessions.get(order.id);
  try {
    if (order.type === 'start') sessions.set(order.id, new Session(order.id, order.plan, outlet));
    else if (order.type === 'resize') session?.resize(order.width, order.height);
    else {
      sessions.delete(order.id);
      session?.[Symbol.dispose]();
    }
  } catch (error) {
    sessions.delete(order.id);
    session?.[Symbol.dispose]();
    outlet.send({ type: 'failed', id: order.id, message: describeError(error) });
  }
}
