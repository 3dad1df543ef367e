import { createClient } from 'graphql-ws';
import { useSyncExternalStore } from 'react';

const PING_EVERY_MS = 10_000;
const PONG_LIMIT_MS = 5_000;

let pong: ReturnType<typeof setTimeout> | undefined;
let isConnected = false;

/**
 * The WebSocket that subscriptions run over; it connects when the first one begins. When it is lost every subscription
 * ends with an error: graphql-ws could connect again by itself, but would begin each from where it first began.
 */
export const socket = createClient({
  url: '/graphql',
  retryAttempts: 0,
  keepAlive: PING_EVERY_MS,
  on: {
    connected: () => {
      isConnected = true;
    },
    closed: () => {
      isConnected = false;
      clearTimeout(pong);
    },
    // A network that went away silently closes no socket.
    ping: (isReceived) => {
      if (!isReceived) pong = setTimeout(() => socket.terminate(), PONG_LIMIT_MS);
    },
    pong: (isReceived) => {
      if (isReceived) clearTimeout(pong);
    },
  },
});

/** How long to wait before the next try to connect: not the same for all pages that a restart has cut off. */
export function reconnectDelayMs(): number {
  return 500 + Math.random() * 1_000;
}

/** Whether the WebSocket is connected. */
export function useIsConnected(): boolean {
  return useSyncExternalStore(onConnectionChange, () => isConnected);
}

function onConnectionChange(onChange: () => void): () => void {
  const stops = [socket.on('connected', onChange), socket.on('closed', onChange)];
  return () => {
    for (const stop of stops) stop();
  };
}
