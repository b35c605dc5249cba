package judge;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A wire between client and server that can be held: bytes stop, connections stay, as when a client hangs. */
final class Relay implements AutoCloseable {
    private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final String host;
    private final int port;
    private volatile boolean held;

    Relay(String server) throws IOException {
        int colon = server.lastIndexOf(':');
        host = server.substring(0, colon);
        port = Integer.parseInt(server.substring(colon + 1));
        start(this::accept);
    }

    String address() {
        return "127.0.0.1:" + listener.getLocalPort();
    }

    void hold() {
        held = true;
    }

    /** Lets bytes flow again, on new connections: those that were held are cut. */
    void release() throws IOException {
        cut();
        held = false;
    }

    /** Ends all connections of now. */
    void cut() throws IOException {
        for (Socket socket : sockets) {
            socket.close();
        }
        sockets.clear();
    }

    private void accept() {
        try {
            for (;;) {
                Socket client = listener.accept();
                sockets.add(client);
                if (held) {
                    continue;
                }
                Socket server = new Socket(host, port);
                client.setTcpNoDelay(true);
                server.setTcpNoDelay(true);
                sockets.add(server);
                start(() -> copy(client, server));
                start(() -> copy(server, client));
            }
        } catch (IOException closed) {
            // The judge is done, or the server is away: the client sees the connection end.
            if (!listener.isClosed()) {
                start(this::accept);
            }
        }
    }

    private void copy(Socket from, Socket to) {
        byte[] buffer = new byte[65536];
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                while (held) {
                    Thread.sleep(10);
                    if (from.isClosed()) {
                        return;
                    }
                }
                out.write(buffer, 0, count);
            }
        } catch (IOException | InterruptedException ended) {
            // Either end went away: so does the other.
        }
    }

    private static void start(Runnable work) {
        Thread thread = new Thread(work, "relay");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() throws IOException {
        listener.close();
        cut();
    }
}
