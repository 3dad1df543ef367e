import { type Client, createClient } from 'graphql-ws';
import { useEffect, useState } from 'react';

const PING_EVERY_MS = 10_000;
const PONG_LIMIT_MS = 5_000;

/**
 * The WebSocket that subscriptions run over; it connects when the first one begins. When it is lost every subscription
 * ends with an error: graphql-ws could connect again by itself, but would begin each from where it first began.
 */
export function createSocket(): Client {
  let pong: ReturnType<typeof setTimeout> | undefined;
  const socket = createClient({
    url: '/graphql',
    retryAttempts: 0,
    keepAlive: PING_EVERY_MS,
    on: {
      // A network that went away silently closes no socket.
      ping: (isReceived) => {
        if (!isReceived) pong = setTimeout(() => socket.terminate(), PONG_LIMIT_MS);
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(pong);
      },
      closed: () => clearTimeout(pong),
    },
  });
  return socket;
}

/** How long to wait before the next try to connect: not the same for all pages that a restart has cut off. */
export function reconnectDelayMs(): number {
  return 500 + Math.random() * 1_000;
}

/** Whether the WebSocket is connected. */
export function useIsConnected(socket: Client): boolean {
  const [isConnected, setIsConnected] = useState(false);
  useEffect(() => {
    const stops = [
      socket.on('connected', () => setIsConnected(true)),
      socket.on('closed', () => setIsConnected(false)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [socket]);
  return isConnected;
}
