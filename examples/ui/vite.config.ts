import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** The platform's API under the page's own address, WebSockets included. The Host header stays the one the browser sent. */
const proxy = {
  '/graphql': { target: process.env['ASGARD_URL'] ?? 'http://localhost:8000', ws: true, changeOrigin: false },
};

/** For each of the frontends; paths are relative to its folder. */
export default defineConfig({
  plugins: [react()],
  cacheDir: 'node_modules/.vite',
  server: { proxy, fs: { allow: ['.', '../ui', '../../node_modules'] } },
  preview: { proxy },
});
