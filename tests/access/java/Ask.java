import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

/** Ask JDBC_URL USER PASSWORD: a query a line on standard input, its text and parameters (for each ?) between tabs. One
 *  line of JSON for each: its rows, all values as text, or ClickHouse's own code and text. Nothing but JDBC. */
public class Ask {
    public static void main(String[] args) throws Exception {
        Properties login = new Properties();
        login.setProperty("user", args[1]);
        login.setProperty("password", args[2]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Connection connection = DriverManager.getConnection(args[0], login)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] parts = line.split("\t", -1);
                System.out.println(answer(connection, parts));
            }
        }
    }

    private static String answer(Connection connection, String[] parts) {
        try (PreparedStatement statement = connection.prepareStatement(parts[0])) {
            for (int at = 1; at < parts.length; at++) {
                statement.setString(at, parts[at]);
            }
            StringBuilder out = new StringBuilder("{\"rows\": [");
            try (ResultSet rows = statement.executeQuery()) {
                int columns = rows.getMetaData().getColumnCount();
                for (boolean first = true; rows.next(); first = false) {
                    out.append(first ? "[" : ", [");
                    for (int at = 1; at <= columns; at++) {
                        String value = rows.getString(at);
                        out.append(at == 1 ? "" : ", ").append(value == null ? "null" : quoted(value));
                    }
                    out.append("]");
                }
            }
            return out.append("]}").toString();
        } catch (SQLException error) {
            return "{\"code\": " + error.getErrorCode() + ", \"text\": " + quoted(String.valueOf(error.getMessage())) + "}";
        }
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                out.append('\\').append(letter);
            } else if (letter < ' ') {
                out.append(String.format("\\u%04x", (int) letter));
            } else {
                out.append(letter);
            }
        }
        return out.append('"').toString();
    }
}
