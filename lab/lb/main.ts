/** The load balancer's process: `node lb.js PORT HOST:PORT...` */
import { Balancer } from './balancer';

const [port = '443', ...targets] = process.argv.slice(2);
const balancer = new Balancer(
  targets.map((target) => {
    const [host = '', targetPort = '443'] = target.split(':');
    return { host, port: Number(targetPort) };
  }),
);
void balancer.listen(Number(port), '0.0.0.0');
