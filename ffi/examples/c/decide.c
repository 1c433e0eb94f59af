/*
 * Ask before you act: opens an edge from a configuration file, asks, does what the answers say.
 *
 *     decide CONFIG.json [REQUEST.json ...]
 *
 * asks what the REQUESTs hold, or without any, three questions of its own.
 *
 * CONFIG.json is for example
 *
 *     {"tenant": "acme", "bundle_path": "agent-tools.tar.gz", "trusted_keys": ["-----BEGIN PUBLIC KEY-----\n..."]}
 *
 * It needs no network: the bundle is signed, and whose signature counts is in the configuration.
 * How to compile it: see README.md, "Compile and link".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meshguard.h"

/* Says what went wrong and ends the program. A real host would refuse the action and go on. */
static void fail(const char *what, mg_result result)
{
    char text[1024];

    if (mg_last_error(text, sizeof text, NULL) != MG_OK) {
        strcpy(text, "no text");
    }
    fprintf(stderr, "%s failed with status %d: %s\n", what, (int)result, text);
    exit(EXIT_FAILURE);
}

static void must(const char *what, mg_result result)
{
    if (result != MG_OK) {
        fail(what, result);
    }
}

/* The question an agent's runtime asks before a tool runs. Anything but an allow keeps the tool from running. */
static void before_tool_call(mg_edge edge, const char *request, size_t length, void (*run)(void))
{
    mg_decision decision = MG_DECISION_INIT;
    mg_buffer json = MG_BUFFER_INIT;

    must("mg_decide_json", mg_decide_json(edge, request, length, &decision, &json));

    if (mg_is_allowed(&decision)) {
        printf("allowed (%s): ", decision.reason);
        run();
    } else if (decision.effect == MG_EFFECT_REQUIRE_APPROVAL) {
        /* Not allowed either; the JSON says whom to ask. */
        const char *whom = strstr(json.data, "\"approvers\":[\"") != NULL ? "approvers are named" : "anybody";
        printf("ask first (%s): %s\n", decision.reason, whom);
    } else {
        printf("denied (%s)\n", decision.reason);
    }
    mg_buffer_free(&json);
}

static void read_file(void) { printf("reading the file\n"); }
static void run_shell(void) { printf("running the command\n"); }
static void pay(void) { printf("paying\n"); }
static void act(void) { printf("acting\n"); }

static char *read_text(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long size;

    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        text = malloc((size_t)size + 1);
        *length = (size_t)size;
    }
    if (text == NULL || fread(text, 1, *length, file) != *length) {
        fprintf(stderr, "%s: can't be read\n", path);
        exit(EXIT_FAILURE);
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    mg_edge edge;
    mg_decision decision = MG_DECISION_INIT;
    mg_buffer json = MG_BUFFER_INIT;
    const char *reading = "{\"actor\": {\"id\": \"agent-7\"}, \"action\": \"files.read\"}";
    const char *running = "{\"actor\": {\"id\": \"agent-7\"}, \"action\": \"shell.exec\"}";
    const char *paying = "{\"actor\": {\"id\": \"agent-7\"}, \"action\": \"payments.send\"}";
    const char *input = "{\"action\": \"files.read\"}";
    const char *rule = "data.meshguard.decision";
    const char *nonsense = "{\"action\": ";
    char *config;
    size_t length = 0;
    int i;

    if (argc < 2) {
        fprintf(stderr, "usage: %s CONFIG.json [REQUEST.json ...]\n", argv[0]);
        return 2;
    }
    if (mg_abi_version() < MG_ABI_VERSION) {
        fprintf(stderr, "libmeshguard %s is older than the header this was compiled with\n", mg_version());
        return EXIT_FAILURE;
    }

    config = read_text(argv[1], &length);
    must("mg_open", mg_open(config, length, &edge));
    free(config); /* nothing of an input is kept */

    for (i = 2; i < argc; i++) {
        char *request = read_text(argv[i], &length);
        before_tool_call(edge, request, length, act);
        free(request);
    }
    if (argc == 2) {
        before_tool_call(edge, reading, strlen(reading), read_file);
        before_tool_call(edge, running, strlen(running), run_shell);
        before_tool_call(edge, paying, strlen(paying), pay);
    }

    /* What can't be read is no failure of the call. It is a deny, and it is recorded. */
    must("mg_decide", mg_decide(edge, nonsense, strlen(nonsense), &decision));
    printf("nonsense: %s (%s)\n", mg_is_allowed(&decision) ? "allowed" : "denied", decision.reason);

    /* A rule's value, for hosts that bring their own input. */
    must("mg_evaluate", mg_evaluate(edge, rule, strlen(rule), input, strlen(input), 0, &json));
    printf("evaluated: %s\n", strstr(json.data, "\"defined\":true") ? "defined" : "undefined");
    mg_buffer_free(&json);

    must("mg_status", mg_status(edge, &json));
    printf("status: %lu bytes\n", (unsigned long)json.len);
    mg_buffer_free(&json);

    must("mg_close", mg_close(edge));

    /* A handle that was closed is an error, not a crash, and the decision denies. */
    if (mg_decide(edge, input, strlen(input), &decision) != MG_BAD_HANDLE || mg_is_allowed(&decision)) {
        fprintf(stderr, "a closed edge still answered\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
