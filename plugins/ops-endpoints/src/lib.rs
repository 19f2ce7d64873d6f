//! Endpoints for operators: public, private and streaming routes.
