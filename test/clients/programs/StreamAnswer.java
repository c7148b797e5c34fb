// Asks a question and prints the stream as it comes: java StreamAnswer HTTP_2|HTTP_1_1, with URL, TOKEN and BODY set.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

class StreamAnswer {
    public static void main(String[] arguments) throws Exception {
        var environment = System.getenv();
        var client = HttpClient.newBuilder().version(HttpClient.Version.valueOf(arguments[0])).build();
        var request = HttpRequest.newBuilder(URI.create(environment.get("URL")))
            .header("Authorization", "Bearer " + environment.get("TOKEN"))
            .header("Content-Type", "application/json")
            .header("Accept", "text/event-stream")
            .POST(BodyPublishers.ofString(environment.get("BODY")))
            .build();
        var response = client.send(request, BodyHandlers.ofLines());
        if (response.statusCode() != 200) {
            System.err.println("status " + response.statusCode());
            System.exit(1);
        }
        var out = new java.io.PrintStream(System.out, true, "UTF-8");
        response.body().forEach(out::println);
    }
}
