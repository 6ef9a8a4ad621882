/* SPDX-License-Identifier: BSD-2-Clause */
/* What the load generator has counted, as JSON lines. */
#include "load.h"

#include <stdio.h>

void mark(struct load *load, struct mark *mark)
{
	mark->at_ns = load->now_ns;
	mark->counts = load->counts;
}

static double us(const struct histogram *histogram, double share)
{
	return (double)histogram_percentile(histogram, share) / 1000;
}

static void print_times(const char *name, const struct histogram *h)
{
	printf(", \"%s\": {\"count\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
	       "\"p999_us\": %.1f, \"max_us\": %.1f}",
	       name, (unsigned long long)h->count, us(h, .5), us(h, .99), us(h, .999),
	       (double)h->max_ns / 1000);
}

static void print_counts(const struct counts *c)
{
	static const char form[] =
		"\"sent\": %llu, \"ok\": %llu, \"refused\": %llu, \"bare\": %llu, "
		"\"failed\": %llu, \"unsent\": %llu, \"resets\": %llu, \"goaways\": %llu, "
		"\"reconnects\": %llu, \"bytes\": %llu, \"beside\": %llu";
	const char *comma = "";

	printf(form, (unsigned long long)c->sent, (unsigned long long)c->ok,
	       (unsigned long long)c->refused, (unsigned long long)c->bare,
	       (unsigned long long)c->failed, (unsigned long long)c->unsent,
	       (unsigned long long)c->resets, (unsigned long long)c->goaways,
	       (unsigned long long)c->reconnects, (unsigned long long)c->bytes,
	       (unsigned long long)c->beside);
	printf(", \"status\": {");
	for (int i = 0; i < 18; i++) {
		if (!c->status[i])
			continue;
		printf("%s\"%d\": %llu", comma, i == 17 ? -1 : i, (unsigned long long)c->status[i]);
		comma = ", ";
	}
	printf("}");
}

static double rate(uint64_t count, uint64_t ns)
{
	return ns ? (double)count * 1e9 / (double)ns : 0;
}

/* Counts are of the whole run; rates and times of the measured part. */
void report_all(struct load *load)
{
	const struct mark *from = &load->at_measure, *to = &load->at_end;
	uint64_t took = to->at_ns - from->at_ns;

	printf("{\"name\": \"%s\", \"seconds\": %.3f, \"rate\": %.1f, \"refused_rate\": %.1f, ",
	       load->options.name, (double)took / 1e9, rate(to->counts.ok - from->counts.ok, took),
	       rate(to->counts.refused - from->counts.refused, took));
	print_counts(&load->counts);
	print_times("latency", &load->latency);
	print_times("refusal", &load->refusal);
	printf("}\n");
}

void report_interval(struct load *load)
{
	struct mark *last = &load->at_report;

	printf("{\"name\": \"%s\", \"at\": %.1f, \"rate\": %.1f, \"refused_rate\": %.1f, "
	       "\"failed\": %llu, \"reconnects\": %llu",
	       load->options.name, (double)(load->now_ns - load->start_ns) / 1e9,
	       rate(load->counts.ok - last->counts.ok, load->now_ns - last->at_ns),
	       rate(load->counts.refused - last->counts.refused, load->now_ns - last->at_ns),
	       (unsigned long long)(load->counts.failed - last->counts.failed),
	       (unsigned long long)(load->counts.reconnects - last->counts.reconnects));
	print_times("latency", &load->interval);
	printf("}\n");
	histogram_clear(&load->interval);
	mark(load, last);
	load->report_ns += (uint64_t)(load->options.every * 1e9);
}
