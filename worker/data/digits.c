/* Draws digits: a glyph's strokes are jittered, bent by a smooth field, slanted, and inked with a
 * soft round pen. */
#include "worker/data/digits.h"

#include <math.h>
#include <string.h>
#include <syncline/random.h>

enum { SIDE = SYN_DIGITS_SIDE, SPAN_PIECES = 5 };

/* A sequential source of numbers over one Philox stream. */
typedef struct source {
    uint64_t key, counter;
    uint32_t words[4];
    int n_left;
} source;

static uint32_t next_word(source *s)
{
    if (s->n_left == 0) {
        syn_philox(s->key, 0, s->counter++, s->words);
        s->n_left = 4;
    }
    return s->words[--s->n_left];
}

static float uniform(source *s, float low, float high)
{
    return low + (high - low) * (float)(next_word(s) >> 8) * 0x1p-24f;
}

/* Near enough to a standard normal, bounded by 3.5: the sum of four uniforms. */
static float bell(source *s)
{
    float sum = 0;

    for (int i = 0; i < 4; i++)
        sum += uniform(s, -1, 1);
    return sum * 0.8660254f;
}

/* One period of a smooth wave over t in [0, 1), within [-1, 1]. */
static float wave(float t)
{
    t -= floorf(t);
    return t < 0.5f ? 16 * t * (0.5f - t) : -16 * (t - 0.5f) * (1 - t);
}

/* How this writer bends, slants, scales and places the unit box on the 28 x 28 grid, and the pen.
 */
typedef struct hand {
    float a, b, c, d; /* the linear map, box units to pixels */
    float x0, y0;     /* where the box's centre lands */
    float bend[4][4]; /* amplitude, frequency in x and y, phase; two waves for each axis */
    float jitter;     /* of control points, box units */
    float radius, softness, fade; /* of the pen, pixels; how much ink varies along a stroke */
    float peak, floor, noise;     /* grey levels 0..1 */
} hand;

static void draw_hand(source *s, hand *h)
{
    float angle = 0.12f * bell(s), slant = 0.1f + 0.15f * bell(s);
    float height = uniform(s, 16.5f, 21.0f), width = height * uniform(s, 0.5f, 0.88f);
    float sine = angle - angle * angle * angle / 6, cosine = 1 - angle * angle / 2;

    h->a = cosine * width;
    h->b = -sine * height - slant * height * cosine;
    h->c = sine * width;
    h->d = cosine * height - slant * height * sine;
    h->x0 = 14 + uniform(s, -1.5f, 1.5f);
    h->y0 = 14 + uniform(s, -1.3f, 1.3f);
    for (int i = 0; i < 4; i++) {
        h->bend[i][0] = 0.045f * bell(s);
        h->bend[i][1] = uniform(s, -1.2f, 1.2f);
        h->bend[i][2] = uniform(s, -1.2f, 1.2f);
        h->bend[i][3] = uniform(s, 0, 1);
    }
    h->jitter = uniform(s, 0.012f, 0.05f);
    h->radius = uniform(s, 0.6f, 1.75f);
    h->softness = uniform(s, 0.9f, 1.9f);
    h->fade = uniform(s, 0, 0.35f);
    h->peak = uniform(s, 0.7f, 1.0f);
    h->floor = uniform(s, 0, 0.06f);
    h->noise = uniform(s, 0.01f, 0.09f);
}

typedef struct point {
    float x, y;
} point;

static point place(const hand *h, float x, float y)
{
    float dx = 0, dy = 0;

    for (int i = 0; i < 2; i++) {
        const float *p = h->bend[i], *q = h->bend[i + 2];
        dx += p[0] * wave(p[1] * x + p[2] * y + p[3]);
        dy += q[0] * wave(q[1] * x + q[2] * y + q[3]);
    }
    x += dx - 0.5f;
    y += dy - 0.5f;
    return (point){h->x0 + h->a * x + h->b * y, h->y0 + h->c * x + h->d * y};
}

static int clamp_pixel(float v)
{
    return v < 0 ? 0 : v > SIDE - 1 ? SIDE - 1 : (int)v;
}

/* Darkens the pixels near the segment p-q with a round pen. */
static void ink(float *canvas, point p, point q, float radius, float softness, float strength)
{
    float reach = radius + softness, dx = q.x - p.x, dy = q.y - p.y;
    float length2 = dx * dx + dy * dy, scale = length2 > 1e-9f ? 1 / length2 : 0;
    int left = clamp_pixel(fminf(p.x, q.x) - reach), right = clamp_pixel(fmaxf(p.x, q.x) + reach);
    int top = clamp_pixel(fminf(p.y, q.y) - reach), bottom = clamp_pixel(fmaxf(p.y, q.y) + reach);

    for (int y = top; y <= bottom; y++) {
        for (int x = left; x <= right; x++) {
            float ex = (float)x + 0.5f - p.x, ey = (float)y + 0.5f - p.y;
            float t = (ex * dx + ey * dy) * scale;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            ex -= t * dx;
            ey -= t * dy;
            float level = (radius - sqrtf(ex * ex + ey * ey)) / softness + 0.5f;
            level = level > 1 ? strength : level * strength;
            if (level > canvas[y * SIDE + x])
                canvas[y * SIDE + x] = level;
        }
    }
}

/* The Catmull-Rom spline through b and c at t. */
static float spline(float a, float b, float c, float d, float t)
{
    return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

static void draw_stroke(source *s, const hand *h, const syn_digit_stroke *stroke, float *canvas)
{
    point p[12];
    float phase = uniform(s, 0, 1), pressure = uniform(s, 0.85f, 1.15f);
    int n = stroke->n, n_pieces = (n - 1) * SPAN_PIECES;

    for (int i = 0; i < n; i++) {
        int is_corner = i > 0 && stroke->points[i][0] == stroke->points[i - 1][0] &&
                        stroke->points[i][1] == stroke->points[i - 1][1];
        p[i] = is_corner ? p[i - 1]
                         : (point){(float)stroke->points[i][0] / 100 + h->jitter * bell(s),
                                   (float)stroke->points[i][1] / 100 + h->jitter * bell(s)};
    }
    point from = place(h, p[0].x, p[0].y);
    for (int i = 0; i + 1 < n; i++) {
        point a = p[i > 0 ? i - 1 : 0], b = p[i], c = p[i + 1], d = p[i + 2 < n ? i + 2 : n - 1];
        if (b.x == c.x && b.y == c.y)
            continue;
        for (int k = 1; k <= SPAN_PIECES; k++) {
            float t = (float)k / SPAN_PIECES;
            float along = (float)(i * SPAN_PIECES + k) / (float)n_pieces;
            float vary = 1 + h->fade * wave(0.8f * along + phase);
            point to = place(h, spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t));
            ink(canvas, from, to, h->radius * pressure * vary, h->softness, fminf(1, vary));
            from = to;
        }
    }
}

/* Grey levels with noise: two bytes of randomness a pixel, summed to a triangle. */
static void develop(source *s, const hand *h, const float *canvas, uint8_t *pixels_out)
{
    for (int i = 0; i < SYN_DIGITS_PIXELS; i += 2) {
        uint32_t word = next_word(s);
        for (int k = 0; k < 2; k++, word >>= 16) {
            float triangle = (float)((word & 255) + (word >> 8 & 255)) / 255 - 1;
            float level = h->floor + (h->peak - h->floor) * canvas[i + k] + h->noise * triangle;
            level = level < 0 ? 0 : level > 1 ? 1 : level;
            pixels_out[i + k] = (uint8_t)(level * 255 + 0.5f);
        }
    }
}

uint8_t syn_digits_label(uint64_t seed, uint64_t index)
{
    return (uint8_t)syn_random_below(seed, index, 10);
}

void syn_digits_render(uint64_t seed, uint64_t index, uint8_t *pixels_out)
{
    source s = {.key = syn_random_key(seed, index)};
    float canvas[SYN_DIGITS_PIXELS];
    hand h;
    int digit = syn_digits_label(seed, index), n_ways = 0;
    const syn_digit_glyph *ways[16];

    for (int i = 0; i < syn_n_digit_glyphs; i++) {
        if (syn_digit_glyphs[i].digit == digit)
            ways[n_ways++] = &syn_digit_glyphs[i];
    }
    const syn_digit_glyph *glyph = ways[next_word(&s) % (unsigned)n_ways];
    memset(canvas, 0, sizeof canvas);
    draw_hand(&s, &h);
    for (int i = 0; i < glyph->n_strokes; i++)
        draw_stroke(&s, &h, &glyph->strokes[i], canvas);
    develop(&s, &h, canvas, pixels_out);
}
